# Two stages: wheels are built where a compiler may be needed, the image that runs has none.
FROM python:3.12-slim AS build
WORKDIR /src
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml setup.py README.md LICENSE ./
COPY gateway gateway
COPY bots bots
# The hot modules compiled: `hoop doctor` says which are.
RUN HOOP_COMPILE=1 pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:3.12-slim
# The spool's directory is made here: a volume takes its owner from it, and one that is root's could not be written to.
RUN useradd --system --uid 10001 --home-dir /var/lib/hoop --create-home hoop && \
  install --directory --owner=10001 --mode=700 /var/lib/hoop/spool
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links=/wheels hoop-gate && rm -rf /wheels
USER 10001
WORKDIR /var/lib/hoop
# The audit spool: entries wait here until the store has them. Keep it on a disk that outlives the container.
VOLUME /var/lib/hoop/spool
ENV HOOP_SPOOL=/var/lib/hoop/spool HOOP_POLICIES=/etc/hoop/policies.yaml HOOP_LOG=json
EXPOSE 6432 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["hoop"]
CMD ["serve"]
