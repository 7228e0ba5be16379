/**
 * How many calls a second a method answers, and how fast, measured by a node for its user: so many calls at a time, again and
 * again, for a time.
 *
 * State: the latencies of the answered calls, of at most MAX_SAMPLES a sample of all (reservoir sampling: J. Vitter, Random
 * Sampling with a Reservoir, 1985, algorithm R); counts.
 */
import { setTimeout } from 'node:timers/promises'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { Mesh } from '../../api.ts'
import { internalsOf } from '../../lifecycle/mesh-internals.ts'
import type { BenchFigures, BenchLine, BenchRequest } from '../bench-schemas.ts'
import { planCall } from './run-call.ts'

export const MAX_SAMPLES = 100_000
const TELL_MS = 1_000
/** A call that fails at once is not made again at once. */
const FAILED_MS = 20

export interface Latencies {
  add(ms: number): void
  count(): number
  /** @param share 0 to 1 @returns undefined where there is none */
  quantile(share: number): number | undefined
  maxMs(): number | undefined
}

/** @param chance a number from 0 to below 1 */
export const createLatencies = (chance: () => number, most = MAX_SAMPLES): Latencies => {
  const samples: number[] = []
  let seen = 0
  let largest: number | undefined
  return {
    add(ms) {
      seen += 1
      largest = Math.max(largest ?? 0, ms)
      if (samples.length < most) samples.push(ms)
      else {
        const at = Math.floor(chance() * seen)
        if (at < most) samples[at] = ms
      }
    },
    count: () => seen,
    quantile(share) {
      const sorted = [...samples].sort((a, b) => a - b)
      return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? sorted[0]
    },
    maxMs: () => largest,
  }
}

const round = (ms: number | undefined): number | undefined =>
  ms === undefined ? undefined : Math.round(ms * 100) / 100

/** @param seconds since it began */
export const figuresOf = (latencies: Latencies, errors: ReadonlyMap<string, number>, seconds: number): BenchFigures => {
  const answered = latencies.count()
  const facts = {
    p50Ms: round(latencies.quantile(0.5)),
    p95Ms: round(latencies.quantile(0.95)),
    p99Ms: round(latencies.quantile(0.99)),
    maxMs: round(latencies.maxMs()),
  }
  return {
    seconds: Math.round(seconds * 10) / 10,
    calls: answered,
    errors: Object.fromEntries(errors),
    perSecond: seconds > 0 ? Math.round(answered / seconds) : 0,
    ...(answered > 0 && facts),
  }
}

/**
 * Figures each second, and the result at the end.
 * @throws as `planCall`; MSG001 for a method that gives no single answer
 */
export async function* runBench(
  mesh: Mesh,
  { forMs, concurrency, ...call }: BenchRequest,
  signal: AbortSignal,
): AsyncGenerator<BenchLine, void, undefined> {
  const { address, kind, callable, payload, name } = planCall(mesh, call, true)
  if (kind !== 'unary')
    throw new ParleyError('MSG001', `${name} gives no single answer: it is a method of kind ${kind}`, {
      hint: 'measure a method with one answer',
    })
  const latencies = createLatencies(Math.random)
  const errors = new Map<string, number>()
  let lastError: string | undefined
  const startedAt = performance.now()
  const over = AbortSignal.any([signal, AbortSignal.timeout(forMs)])
  const options = { signal: over, ...(call.timeoutMs !== undefined && { timeoutMs: call.timeoutMs }) }

  const work = async (): Promise<void> => {
    while (!over.aborted) {
      const sentAt = performance.now()
      try {
        await internalsOf(mesh).calls.one(address, callable, payload, options)
        latencies.add(performance.now() - sentAt)
      } catch (error) {
        // What was under way at the end is neither answered nor failed.
        if (over.aborted) return
        const code = isParleyError(error) ? error.code : 'APP001'
        errors.set(code, (errors.get(code) ?? 0) + 1)
        lastError = error instanceof Error ? error.message : String(error)
        await setTimeout(FAILED_MS)
      }
    }
  }
  const figures = (): BenchFigures => figuresOf(latencies, errors, (performance.now() - startedAt) / 1000)
  let isDone = false
  const done = Promise.all(Array.from({ length: concurrency }, work)).then(() => {
    isDone = true
  })
  while (!isDone) {
    await Promise.race([done, setTimeout(TELL_MS, undefined, { ref: false })])
    if (!isDone) yield { type: 'figures', ...figures() }
  }
  yield { type: 'result', ...figures(), ...(lastError !== undefined && { lastError }) }
}
