# The cloud target: `docker build -f deploy/cloud.Dockerfile .` from the root of the tree.
# Where pip should look beside its default index (for a smaller CPU-only torch, say) is a build argument:
#   docker build --build-arg PIP_EXTRA_INDEX_URL=... -f deploy/cloud.Dockerfile .
FROM python:3.11-slim

ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# Libraries report to nobody, whatever is run in here.
ENV ORT_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_TELEMETRY=1 DO_NOT_TRACK=1 DISABLE_SAFETENSORS_CONVERSION=true

RUN useradd --system --create-home --uid 10001 tandem
# credentials.py needs openssl, which this base has had so far.
RUN command -v openssl || (apt-get update && apt-get install -y --no-install-recommends openssl)
WORKDIR /src

# torch first and alone: its layer outlives every change of our own code.
COPY constraints.txt ./
RUN pip install "$(sed -n '/^torch==/p' constraints.txt)" -c constraints.txt

COPY pyproject.toml LICENSE ./
COPY shared/ shared/
COPY cloud_target/ cloud_target/
RUN pip install ".[cloud,otel]" -c constraints.txt

COPY deploy/healthcheck.py deploy/credentials.py /usr/local/bin/
# Fresh volumes take over who may write in the directory that they are mounted on.
RUN install -d -o tandem -m 700 /credentials/server /credentials/edge

USER tandem
WORKDIR /home/tandem
EXPOSE 50051 9464
ENTRYPOINT ["cloud-target"]
CMD ["serve"]
