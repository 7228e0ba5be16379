/**
 * Suite cost: what a call and an event cost the processor, both ends in one process.
 *
 * With `--against` the older tree is loaded beside this one and the two take turns every few hundredths of a second: the
 * way to see a change of some hundredths, which two processes, each with its own heap and luck, do not show.
 */
import { z } from 'zod'
import { SUBJECT } from '../catalogue.ts'
import type { Reading } from '../ledger.ts'
import type { StartEnd, Suite } from '../suite.ts'
import { costsSchema } from './cost-roles.ts'

const START_LIMIT_MS = 60_000
const RUN_LIMIT_MS = 60_000

const CASES = [
  { name: 'call, 256 B, 64 in flight', bytes: 256, inFlight: 64, windows: 60 },
  { name: 'call, 256 B, 1 in flight', bytes: 256, inFlight: 1, windows: 60 },
  { name: 'call, 4 KiB, 64 in flight', bytes: 4_096, inFlight: 64, windows: 50 },
  { name: 'call, 64 KiB, 64 in flight', bytes: 65_536, inFlight: 64, windows: 25 },
]
const EVENTS = { name: 'event, 256 B', windows: 40 }

/** @param others names and modules of further trees */
const measure = async (
  start: StartEnd,
  others: readonly { name: string; module: string }[],
  reversed = false,
): Promise<Reading[]> => {
  const both = start('both')
  const names = [SUBJECT, ...others.map(({ name }) => name)]
  const found: Reading[] = []
  const told = (name: string, costs: readonly number[]): void => {
    for (const [i, value] of costs.entries()) {
      found.push({ system: names[i] ?? '', case: name, metric: 'processor', unit: 'µs/message', value })
    }
  }
  await both.ask('start', { others: others.map(({ module }) => module), reversed }, z.null(), START_LIMIT_MS)
  for (const { name, ...load } of CASES) told(name, await both.ask('calls', load, costsSchema, RUN_LIMIT_MS))
  told(EVENTS.name, await both.ask('events', { windows: EVENTS.windows }, costsSchema, RUN_LIMIT_MS))
  return found
}

export const cost: Suite = {
  name: 'cost',
  about: 'processor time of a call and of an event, both ends in one process; with --against, both trees in it too',
  systems: [SUBJECT],
  measure: (start) => measure(start, []),
  beside(older) {
    let rounds = 0
    return (start) => {
      rounds += 1
      return measure(start, [older], rounds % 2 === 0)
    }
  },
  floors: () => [],
}
