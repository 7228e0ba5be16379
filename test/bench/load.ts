/** A closed loop of calls: a fixed number in flight, each answer checked, each latency kept. Runs in the caller. */
import { type Body, bodies } from './body.ts'
import { latencies, percentile } from './statistics.ts'

export interface Load {
  readonly bytes: number
  readonly inFlight: number
  readonly warmUpMs: number
  readonly durationMs: number
}

export interface Figures {
  readonly calls: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/**
 * Calls until the time is over, then waits for what is still in flight; the rate counts that time too.
 * @throws when a call fails or an answer is not the body that was sent
 */
const loop = async (call: (body: Body) => Promise<Body>, load: Load, durationMs: number): Promise<Figures> => {
  const make = bodies(load.bytes)
  const kept = latencies()
  const beginMs = performance.now()
  const endMs = beginMs + durationMs
  let sequence = 0
  let calls = 0
  const lane = async (): Promise<void> => {
    let nowMs = performance.now()
    while (nowMs < endMs) {
      const sent = make(sequence++)
      const sentMs = nowMs
      const answer = await call(sent)
      if (answer.data !== sent.data) throw new Error(`the answer to request ${sequence} is not what was sent`)
      nowMs = performance.now()
      kept.add(nowMs - sentMs)
      calls++
    }
  }
  await Promise.all(Array.from({ length: load.inFlight }, lane))
  const values = kept.values()
  return {
    calls,
    perSecond: calls / ((performance.now() - beginMs) / 1_000),
    p50Ms: percentile(values, 0.5),
    p99Ms: percentile(values, 0.99),
  }
}

/** Warms up, then measures. */
export const closedLoop = async (call: (body: Body) => Promise<Body>, load: Load): Promise<Figures> => {
  if (load.warmUpMs > 0) await loop(call, load, load.warmUpMs)
  return loop(call, load, load.durationMs)
}
