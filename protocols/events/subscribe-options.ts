/** Checks of the options of subscribe(). Pure. */
import { ParleyError } from '../errors.ts'
import { keysOf } from '../unknown-keys.ts'
import type { EventCursor, StartPosition, SubscribeOptions } from './api.ts'

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

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0
const isPosition = (value: unknown): boolean => {
  const { publisher, word, epoch, next } = Object(value) as Record<string, unknown>
  return typeof publisher === 'string' && typeof word === 'string' && isCount(epoch) && isCount(next)
}
/** As `cursor()` makes it. */
const isCursor = (value: unknown): value is EventCursor => {
  const { createdAt, positions } = Object(value) as Record<string, unknown>
  return Number.isFinite(createdAt) && Array.isArray(positions) && positions.every(isPosition)
}

/** The cursor that a subscription starts at, where it has one. */
export const cursorOf = (from: StartPosition | undefined): EventCursor | undefined =>
  typeof from === 'object' && 'cursor' in from ? from.cursor : undefined

/** @throws MSG001 for what is not a StartPosition */
export const checkFrom = (from: StartPosition = 'latest'): StartPosition => {
  if (from === 'latest' || from === 'earliest') return from
  // It may be called without types.
  const given: { last?: unknown; since?: unknown; cursor?: unknown } | null = typeof from === 'object' ? from : null
  if (isCursor(given?.cursor)) return from
  if (Number.isInteger(given?.last) && Number(given?.last) >= 1) return from
  if (given?.since !== undefined && Number.isFinite(Number(given.since))) return from
  throw new ParleyError('MSG001', `from is ${JSON.stringify(from)?.slice(0, 80)}`, {
    hint: "start from 'latest', 'earliest', { since: <milliseconds or Date> }, { last: <number of events> } or { cursor }",
  })
}

/** True for a subscription that catches up: it starts in the past, is acknowledged, or has a name. */
export const isCatchup = ({ from = 'latest', ack, name }: SubscribeOptions): boolean =>
  from !== 'latest' || ack === true || name !== undefined
