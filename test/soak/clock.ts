/** Milliseconds of a clock that all processes of one machine share and that never goes back (CLOCK_MONOTONIC). */
export const nowMs = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000
