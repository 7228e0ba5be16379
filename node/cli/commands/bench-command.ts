/** `parley bench`: calls a second and latency of a method, as a running node measures them. */
import { ParleyError } from '../../../protocols/errors.ts'
import { type BenchFigures, type BenchLine, BenchLineSchema, type BenchRequest } from '../../control/bench-schemas.ts'
import { parseCallTarget } from '../../control/call-target.ts'
import { nodeThatKnows, offersCall } from '../connect/choose-node.ts'
import { findControlledNode } from '../connect/node-endpoint.ts'
import type { NodeSelector } from '../connect/running-nodes.ts'
import { createInterrupt } from '../input/signals.ts'
import { readJsonInput } from '../input/stdin.ts'

export interface BenchOptions extends Omit<NodeSelector, 'url'> {
  to?: string
  /** Milliseconds. */
  for: number
  concurrency: number
  timeout?: number
  json?: boolean
}

const ms = (value: number | undefined): string => (value === undefined ? '-' : `${value} ms`)

const failuresText = (errors: BenchFigures['errors']): string => {
  const all = Object.entries(errors)
  return all.length === 0 ? 'none' : all.map(([code, count]) => `${count} ${code}`).join(', ')
}

export const benchText = (name: string, { concurrency }: { concurrency: number }, figures: BenchFigures): string =>
  [
    `${name}, ${concurrency} at a time, ${figures.seconds} s`,
    `  calls     ${figures.calls}, ${figures.perSecond} a second`,
    `  latency   p50 ${ms(figures.p50Ms)}, p95 ${ms(figures.p95Ms)}, p99 ${ms(figures.p99Ms)}, most ${ms(figures.maxMs)}`,
    `  failed    ${failuresText(figures.errors)}`,
  ].join('\n')

/** @throws what a bench without a single answer failed with */
const end = ({ calls, lastError }: Extract<BenchLine, { type: 'result' }>, name: string): void => {
  if (calls > 0) return
  throw new ParleyError('COM001', `no call of ${name} was answered${lastError === undefined ? '' : `: ${lastError}`}`, {
    hint: 'see what one call says: parley call, or give it more time: --for and --timeout',
  })
}

export const bench = async (name: string, text: string | undefined, options: BenchOptions): Promise<void> => {
  const { to, concurrency, timeout, json = false } = options
  const target = parseCallTarget(name)
  const request: BenchRequest = {
    ...{ target: name, input: await readJsonInput(text), forMs: options.for, concurrency },
    ...(to !== undefined && { to }),
    ...(timeout !== undefined && { timeoutMs: timeout }),
  }
  const { control } = await findControlledNode((await nodeThatKnows(options, offersCall(target, to))) ?? options)
  const { signal, release } = createInterrupt('the measurement is over')
  try {
    for await (const line of control.stream('/api/bench', BenchLineSchema, { body: request, signal })) {
      if (json) process.stdout.write(`${JSON.stringify(line)}\n`)
      else if (line.type === 'result') process.stdout.write(`${benchText(name, options, line)}\n`)
      else if (process.stderr.isTTY === true)
        process.stderr.write(`\r${line.seconds} s, ${line.perSecond} calls a second `)
      if (line.type === 'result') return end(line, name)
    }
  } finally {
    release()
  }
}
