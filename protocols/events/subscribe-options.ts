/** Checks of the options of subscribe(). Pure. */
import { ParleyError } from '../errors.ts'
import { keysOf } from '../unknown-keys.ts'
import type { StartPosition, SubscribeOptions } from './api.ts'

export const SUBSCRIBE_KEYS = keysOf<SubscribeOptions>({
  onMissed: true,
  from: true,
  ack: true,
  attempts: true,
  retryMs: true,
  onFailed: true,
  name: true,
  onInvalid: true,
  queueEvents: true,
  signal: true,
})

/** @throws MSG001 for what is not a whole number from 1 on */
export const checkCount = (name: string, value: number): number => {
  if (Number.isInteger(value) && value >= 1) return value
  throw new ParleyError('MSG001', `${name} is ${value}`, { hint: 'give a whole number, at least 1' })
}

/** @throws MSG001 for what is not a StartPosition */
export const checkFrom = (from: StartPosition = 'latest'): StartPosition => {
  if (from === 'latest' || from === 'earliest') return from
  // It may be called without types.
  const given: { last?: unknown; since?: unknown } | null = typeof from === 'object' ? from : null
  if (Number.isInteger(given?.last) && Number(given?.last) >= 1) return from
  if (given?.since !== undefined && Number.isFinite(Number(given.since))) return from
  throw new ParleyError('MSG001', `from is ${JSON.stringify(from)?.slice(0, 80)}`, {
    hint: "start from 'latest', 'earliest', { since: <milliseconds or Date> } or { last: <number of events> }",
  })
}

/** True for a subscription that catches up: it starts in the past, is acknowledged, or has a name. */
export const isCatchup = ({ from = 'latest', ack, name }: SubscribeOptions): boolean =>
  from !== 'latest' || ack === true || name !== undefined
