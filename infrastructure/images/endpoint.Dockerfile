# The model, as SageMaker starts a container: the argument is `serve`. Build from the root of the checkout:
#   docker build -f infrastructure/images/endpoint.Dockerfile -t fraud-endpoint .
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
COPY decision_service decision_service
COPY cli cli
COPY config config
COPY infrastructure/images/start.sh infrastructure/images/sagemaker.sh infrastructure/images/
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# Compiled here, because a pod may not keep what it compiles: its root is read-only. At the end, because Python and numba
# go by the sources' times.
RUN python -m compileall -q . \
    && NUMBA_CACHE_DIR=/opt/kernels infrastructure/images/start.sh \
    python -c "from ml_model.warm_up import compile_kernels; compile_kernels()"
USER 185
EXPOSE 8080
HEALTHCHECK --interval=10s --start-period=30s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/ping', timeout=5)"]
ENTRYPOINT ["/opt/fraud/infrastructure/images/start.sh", "/opt/fraud/infrastructure/images/sagemaker.sh"]
