# The cloud target: `docker build -f deploy/cloud.Dockerfile .` from the root of the tree.
# Where pip should look beside its default index (for a smaller CPU-only torch, say) is a build argument:
#   docker build --build-arg PIP_EXTRA_INDEX_URL=... -f deploy/cloud.Dockerfile .
FROM python:3.11-slim

ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

RUN useradd --system --create-home --uid 10001 tandem
WORKDIR /src

# torch first and alone: its layer outlives every change of our own code.
COPY constraints.txt ./
RUN pip install "$(sed -n '/^torch==/p' constraints.txt)" -c constraints.txt

COPY pyproject.toml LICENSE ./
COPY shared/ shared/
COPY cloud_target/ cloud_target/
RUN pip install ".[cloud]" -c constraints.txt

COPY deploy/healthcheck.py /usr/local/bin/healthcheck.py

USER tandem
WORKDIR /home/tandem
EXPOSE 50051
ENTRYPOINT ["cloud-target"]
CMD ["serve"]
