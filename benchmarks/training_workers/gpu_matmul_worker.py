"""The device's own rate: products of two square matrices in JAX, as a step."""

import sys

import jax
import jax.numpy as jnp
from worker import Cell, serve

PRODUCTS = 20  # of a step


def main():
    on_cpu = jax.devices()[0].platform == "cpu"
    side = 1024 if on_cpu else 8192
    matrix = jnp.ones((side, side), Cell.of(sys.argv[1:]).precision)

    @jax.jit
    def multiply(matrix):
        return jax.lax.fori_loop(0, PRODUCTS, lambda _, x: (x @ matrix) / side, matrix)

    serve(lambda: multiply(matrix).block_until_ready(), flop=PRODUCTS * 2 * side**3)


if __name__ == "__main__":
    main()
