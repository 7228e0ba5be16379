/** What a node has in work, as what is done on its behalf names it: a call, command or message of a handler has a `parent`. */
import type { Slice } from './budget/slice.ts'
import { ParleyError } from './errors.ts'
import type { ChildCalls } from './wire/child-calls.ts'
import type { DelegationChain } from './wire/delegation-chain.ts'
import type { Priority } from './wire/envelope.ts'

/** What a call gets of its parent unless it is told otherwise. */
export interface InheritedTrace {
  readonly priority?: Priority | undefined
  /** W3C trace context. */
  readonly traceparent?: string | undefined
}

/**
 * A request, command, message or task in work: the context of its handler. A call on its behalf gets its delegation chain, its
 * signal, at most the time that it has left, and, unless told, its priority and trace context.
 */
export interface RequestInWork {
  /** Through whom it came, first the one that asked, last this node: `<peer>/<what it was asked for>`. */
  readonly chain: DelegationChain
  readonly signal: AbortSignal
  /** Milliseconds. */
  remainingMs?(): number | undefined
  readonly passesOn?: InheritedTrace | undefined
  /** What came with it of a budget; what is done on its behalf gets parts of that, and what is left goes back. */
  readonly budget?: Slice | undefined
  /** The calls that it waits for; kept by the node for requests that have one of its slots. */
  readonly childCalls?: ChildCalls | undefined
}

/** @throws MSG001 for what is no context of a handler */
export const checkParent = (given: unknown): RequestInWork => {
  if (typeof given === 'object' && given !== null) {
    const { chain, signal } = given as Partial<RequestInWork>
    if (Array.isArray(chain) && signal instanceof AbortSignal) return given as RequestInWork
  }
  throw new ParleyError('MSG001', 'the parent is no request that is in work', {
    hint: 'give the context that the handler was given, as it is',
  })
}

/** For a call on whose behalf the budget goes another way. */
export const withoutBudget = ({ chain, signal, passesOn, remainingMs, childCalls }: RequestInWork): RequestInWork => ({
  ...{ chain, signal, passesOn, childCalls },
  ...(remainingMs !== undefined && { remainingMs }),
})

/** What is left of its time, milliseconds; infinite where it has no end. */
export const leftOf = ({ remainingMs }: RequestInWork): number => remainingMs?.() ?? Number.POSITIVE_INFINITY

/** Aborted with the one and with the other. */
export const signalOf = (parent: RequestInWork, own: AbortSignal | undefined): AbortSignal =>
  own === undefined ? parent.signal : AbortSignal.any([own, parent.signal])
