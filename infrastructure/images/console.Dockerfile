# The analysts' console. Build from the root of the checkout:
#   docker build -f infrastructure/images/console.Dockerfile -t fraud-console .
FROM python:3.11-slim-bookworm AS python
WORKDIR /opt/fraud
COPY requirements.txt ./
COPY infrastructure/images/install.sh infrastructure/images/
RUN infrastructure/images/install.sh /opt/venv pyspark py4j

FROM python:3.11-slim-bookworm
RUN useradd --uid 185 --create-home fraud
COPY --from=python /opt/venv /opt/venv
WORKDIR /opt/fraud
COPY fraud fraud
COPY adapters adapters
COPY operations operations
COPY producer producer
COPY processor processor
COPY ml_model ml_model
COPY console console
COPY embedded embedded
COPY cli cli
COPY config config
ENV PATH=/opt/venv/bin:$PATH NUMBA_CACHE_DIR=/tmp/numba PYTHONDONTWRITEBYTECODE=1
USER 185
EXPOSE 8090
HEALTHCHECK --interval=20s --start-period=30s \
  CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 8090), 5)"]
ENTRYPOINT ["fraud"]
