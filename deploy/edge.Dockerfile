# The edge client, without torch: `docker build -f deploy/edge.Dockerfile .` from the root of the tree.
FROM python:3.11-slim

ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# Libraries report to nobody, whatever is run in here.
ENV ORT_DISABLE_TELEMETRY=1 DO_NOT_TRACK=1

RUN useradd --system --create-home --uid 10001 tandem
WORKDIR /src

COPY pyproject.toml constraints.txt LICENSE ./
COPY shared/ shared/
COPY edge_client/ edge_client/
RUN pip install ".[edge]" -c constraints.txt

# A fresh volume takes over who may write in the directory that it is mounted on.
RUN install -d -o tandem -m 700 /credentials/edge /state

USER tandem
WORKDIR /home/tandem
ENTRYPOINT ["edge-client"]
CMD ["--help"]
