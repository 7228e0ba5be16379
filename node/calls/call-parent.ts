/**
 * What a call gets of the request on whose behalf it is made (`parent`), and whom its delegation chain leaves out. Pure.
 *
 * The chain; the signal, so that a call ends with its parent; at most the time that is left for that, without what progress may
 * add later; its trace context and its priority, unless the call or its method says otherwise.
 */
import { type AttemptObserver, type GivenShare, shareFor } from '../../protocols/budget/carried/budget-share.ts'
import type { CallOptions } from '../../protocols/define.ts'
import { checkParent, leftOf, signalOf } from '../../protocols/request-in-work.ts'
import type { ChildCalls } from '../../protocols/wire/child-calls.ts'
import {
  type DelegationChain,
  requireDepth,
  requireNoCycle,
  wouldCycle,
} from '../../protocols/wire/delegation-chain.ts'
import type { MethodCodec } from './method-codecs.ts'

/** Of a call that is made on behalf of something else. */
export interface Inherited {
  /** Of its parent, where that has a slot of this node. */
  childCalls?: ChildCalls | undefined
  /** As it travels: its last hop is this node. */
  chain?: DelegationChain | undefined
  /** What of a budget goes with it, once that is split off. */
  share?: GivenShare | undefined
  /** Of what carries its budget in its input. */
  attemptObserver?: AttemptObserver | undefined
}

/** One that has a budget is not made twice, unless it reached nobody. */
const onceOnly = (target: MethodCodec): MethodCodec =>
  target.codec.idempotent ? { ...target, codec: { ...target.codec, idempotent: false } } : target

/**
 * A call as it is made: with what it gets of its parent, and of a budget.
 * @throws MSG001, STA003 `delegation-depth`
 */
export const prepared = <O extends CallOptions & Inherited>(
  options: O,
  target: MethodCodec,
): { readonly options: O; readonly target: MethodCodec } => {
  if (options.parent === undefined && options.budget === undefined) return { options, target }
  const whole = options.parent === undefined ? options : inherit(options, target)
  const budget = shareFor(options.budget, options.parent?.budget)
  return budget === undefined ? { options: whole, target } : { options: { ...whole, budget }, target: onceOnly(target) }
}

/** Of a call that a handler makes. @throws MSG001, STA003 `delegation-depth` */
const inherit = <O extends CallOptions & Inherited>(options: O, { codec }: MethodCodec): O => {
  const parent = checkParent(options.parent)
  const { chain, passesOn } = parent
  requireDepth(chain)
  const ownMs = options.timeoutMs ?? codec.timeoutMs
  const restMs = leftOf(parent)
  const priority = options.priority ?? (codec.priority === 0 ? passesOn?.priority : undefined)
  const traceparent = options.traceparent ?? passesOn?.traceparent
  return {
    ...options,
    chain,
    childCalls: parent.childCalls,
    signal: signalOf(parent, options.signal),
    timeoutMs: restMs < ownMs ? Math.max(1, restMs) : ownMs,
    ...(priority !== undefined && { priority }),
    ...(traceparent !== undefined && { traceparent }),
  }
}

/** @throws STA003 `delegation-cycle` for a peer that was asked for it in the chain */
export const requireNew = ({ chain }: Inherited, peer: string, { codec }: MethodCodec): void => {
  if (chain !== undefined) requireNoCycle(chain, peer, codec.label)
}

/** Those of the candidates that were asked for it in the chain already. */
export const askedBefore = (
  { chain }: Inherited,
  candidates: readonly { readonly peer: string }[],
  { codec }: MethodCodec,
): readonly string[] =>
  chain === undefined
    ? []
    : candidates.filter(({ peer }) => wouldCycle(chain, peer, codec.label)).map(({ peer }) => peer)
