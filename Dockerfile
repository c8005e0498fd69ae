# srv6kv alone: no compiler, no pip, no shell needed, no root.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY locks ./locks
COPY srv6kv ./srv6kv
# Every version, those of what builds too, is that of locks/, with its hash.
RUN python -m venv tools \
 && tools/bin/python -m pip install --no-cache-dir --require-hashes --requirement locks/build.txt \
 && tools/bin/python -m pip wheel --no-cache-dir --no-build-isolation --wheel-dir wheels \
    --require-hashes --requirement locks/run.txt \
 && tools/bin/python -m pip wheel --no-build-isolation --wheel-dir wheels --no-deps .
RUN python -m venv --without-pip /opt/srv6kv \
 && python -m pip --python /opt/srv6kv/bin/python install --no-cache-dir --no-index --no-deps \
    wheels/*.whl

FROM python:${PYTHON}-slim
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore setuptools wheel pip \
 && rm -rf /usr/local/lib/python3*/ensurepip
COPY --from=build /opt/srv6kv /opt/srv6kv
ENV PATH=/opt/srv6kv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["srv6kv"]
