/**
 * Calls and returns of a history as a linked list by time, from which an operation is lifted when it has been placed, and
 * put back when that led nowhere. Operations without a return are not in the list: they need not be placed.
 */
import type { Operation } from './linearizability.ts'

/** A call or a return in the list. */
export interface Event {
  /** Place of its operation among those that returned, by call. */
  readonly index: number
  /** Place among all calls and returns. */
  readonly position: number
  readonly isCall: boolean
  /** The return of a call. */
  end: Event | undefined
  before: Event | undefined
  after: Event | undefined
}

export interface Called<I, O> {
  readonly operation: Operation<I, O>
  /** Of the call, among all calls and returns. */
  readonly position: number
}

export interface Timeline<I, O> {
  /** Stands before the first event. */
  readonly head: Event
  /** Those that returned, by call. */
  readonly known: readonly Called<I, O>[]
  /** Those that did not, by call. */
  readonly lost: readonly Called<I, O>[]
}

/** A call comes before a return of the same moment, so that the two overlap. */
export const timelineOf = <I, O>(history: readonly Operation<I, O>[]): Timeline<I, O> => {
  const moments = history.flatMap((operation, id) => [
    { operation, id, at: operation.callAt, isCall: true },
    ...(operation.returnAt === undefined ? [] : [{ operation, id, at: operation.returnAt, isCall: false }]),
  ])
  moments.sort((a, b) => a.at - b.at || Number(b.isCall) - Number(a.isCall))
  const head: Event = { index: -1, position: -1, isCall: true, end: undefined, before: undefined, after: undefined }
  const calls: Event[] = []
  const known: Called<I, O>[] = []
  const lost: Called<I, O>[] = []
  let last = head
  for (const [position, { operation, id, isCall }] of moments.entries()) {
    if (operation.returnAt === undefined) {
      lost.push({ operation, position })
      continue
    }
    const call = calls[id]
    const index = call?.index ?? known.length
    const event: Event = { index, position, isCall, end: undefined, before: last, after: undefined }
    if (call !== undefined) call.end = event
    else {
      calls[id] = event
      known.push({ operation, position })
    }
    last.after = event
    last = event
  }
  return { head, known, lost }
}

const unlink = ({ before, after }: Event): void => {
  if (before !== undefined) before.after = after
  if (after !== undefined) after.before = before
}

const relink = (event: Event): void => {
  if (event.before !== undefined) event.before.after = event
  if (event.after !== undefined) event.after.before = event
}

export const lift = (call: Event): void => {
  unlink(call)
  if (call.end !== undefined) unlink(call.end)
}

/** The last one that was lifted: in the opposite order, each finds its neighbours as they were. */
export const unlift = (call: Event): void => {
  if (call.end !== undefined) relink(call.end)
  relink(call)
}
