/** Seeds of a scenario, one after another, in this thread or shared among several. */
import { Worker } from 'node:worker_threads'
import type { Totals } from './scenarios.ts'

export interface Share {
  readonly scenario: string
  readonly first: number
  /** Seeds up to this one, each `stride`-th. */
  readonly last: number
  readonly stride: number
  readonly steps: number
}

export type Result =
  | { readonly totals: Totals }
  | { readonly totals: Totals; readonly failed: { readonly seed: number; readonly message: string } }

export const sum = (one: Totals, other: Totals): Totals => {
  const all: Record<string, number> = { ...one }
  for (const [name, count] of Object.entries(other)) all[name] = (all[name] ?? 0) + count
  return all
}

const inThread = (share: Share): Promise<Result> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: share })
    worker.once('message', (result: Result) => resolve(result))
    worker.once('error', reject)
    worker.once('exit', (code) => reject(new Error(`a thread of the simulator ended with ${code}`)))
  })

/** Of several that fail, the first seed. */
export const runShared = async (share: Omit<Share, 'stride'>, jobs: number): Promise<Result> => {
  const shares = Array.from({ length: jobs }, (_, i) => ({ ...share, first: share.first + i, stride: jobs }))
  const results = await Promise.all(shares.map(inThread))
  const totals = results.map((result) => result.totals).reduce(sum, {})
  const failed = results
    .flatMap((result) => ('failed' in result ? [result.failed] : []))
    .sort((a, b) => a.seed - b.seed)[0]
  return failed === undefined ? { totals } : { totals, failed }
}
