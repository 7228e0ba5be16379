/**
 * Who a call goes to: the agent of a name, one of those that offer a protocol (any), all of them, or a list (all).
 *
 * any: the less loaded of two random candidates; where that fails without having handled the request, or the method is
 * idempotent, the next one, at once (failover-plan.ts); only the last of them is asked again and again. all: everyone at
 * once (scatter.ts). Who failed too often in a short time (delivery/recovery/peer-breakers.ts) is not chosen while others
 * offer the protocol, and asked all the same where nobody else does.
 */

import { isPeerId } from '../../discovery/directory/find-agent.ts'
import type { Candidate } from '../../discovery/directory/tables/offer-index.ts'
import { pick } from '../../discovery/two-choices.ts'
import { delay } from '../../protocols/async.ts'
import type { Recoveries } from '../../protocols/delivery/recovery/error-recovery.ts'
import { isBreakerOpenError, type PeerBreakers } from '../../protocols/delivery/recovery/peer-breakers.ts'
import type { Timers } from '../../protocols/port.ts'
import { AgentNames, type AgentNamesDeps, SEEK_MS } from './call-address.ts'
import { askedBefore, requireNew } from './call-parent.ts'
import type { ByteCallOptions, ByteCalls, CallAddress, Reply } from './clients.ts'
import { type ChoosePeer, FailoverPlan, type FailoverStep, nobodyOffers } from './failover-plan.ts'
import type { MethodCodec } from './method-codecs.ts'
import type { RetryingCall } from './retrying-call.ts'
import { scatter } from './scatter.ts'

export interface LoadBalancerDeps extends AgentNamesDeps {
  timers: Timers
  invoke: RetryingCall
  chance(): number
  /** Everyone who offers it, this node included. */
  candidates(protocol: string, major: number): readonly Candidate[]
  loadOf(peer: string): number
  failedOver(): void
  breakers: PeerBreakers
  recoveries: Recoveries
}

type OnProgress = NonNullable<ByteCallOptions['onProgress']>

/** Calls one peer. */
type RunCall<T> = (peer: string, options: ByteCallOptions) => Promise<T>

export class LoadBalancer implements ByteCalls {
  readonly #deps: LoadBalancerDeps
  readonly #names: AgentNames
  readonly #choose: ChoosePeer

  constructor(deps: LoadBalancerDeps) {
    this.#deps = deps
    this.#names = new AgentNames(deps)
    this.#choose = (candidates, tried) => pick(candidates, deps.loadOf, deps.chance, tried)
  }

  one(address: CallAddress, target: MethodCodec, payload: Uint8Array, given: ByteCallOptions): Promise<unknown> {
    const options = given.replyTo === undefined ? given : this.#names.withReplyTo(given)
    if (address.kind === 'peer') return this.#call(address.peer, target, payload, options)
    if (address.kind === 'name')
      return this.#names
        .resolve(address.name, target, options)
        .then((resolved) => this.#call(resolved.peer, target, payload, resolved.options))
    return this.#failover(target, payload, options, (peer, own) => this.#call(peer, target, payload, own))
  }

  stream(
    address: CallAddress,
    target: MethodCodec,
    payload: Uint8Array,
    options: ByteCallOptions,
  ): AsyncIterableIterator<unknown> {
    if (address.kind === 'peer') return this.#deps.invoke.stream(address.peer, target, payload, options)
    if (address.kind === 'name') return this.#streamOfName(address.name, target, payload, options)
    return this.#streamOfAny(target, payload, options)
  }

  all(
    address: CallAddress,
    target: MethodCodec,
    payload: Uint8Array,
    options: ByteCallOptions,
  ): AsyncIterableIterator<Reply<unknown>> {
    const peers = address.kind === 'all' ? address.peers : undefined
    const targets =
      peers === undefined
        ? () => this.#candidatesOf(target)
        : () => peers.map((peer) => ({ peer, name: isPeerId(peer) ? '' : peer }))
    const { timers, invoke } = this.#deps
    return scatter({ timers, names: this.#names, invoke }, target, targets, payload, this.#names.withReplyTo(options))
  }

  #call(peer: string, target: MethodCodec, payload: Uint8Array, options: ByteCallOptions): Promise<unknown> {
    const { invoke } = this.#deps
    return target.codec.kind === 'unary'
      ? invoke.unary(peer, target, payload, options)
      : invoke.oneWay(peer, target, payload, options)
  }

  async *#streamOfName(name: string, target: MethodCodec, payload: Uint8Array, given: ByteCallOptions) {
    const { peer, options } = await this.#names.resolve(name, target, given)
    yield* this.#deps.invoke.stream(peer, target, payload, options)
  }

  /** Another peer may take a stream over as long as nothing of it came. */
  async *#streamOfAny(target: MethodCodec, payload: Uint8Array, options: ByteCallOptions) {
    const begun = await this.#failover(target, payload, options, async (peer, own) => {
      const items = this.#deps.invoke.stream(peer, target, payload, own)
      return { items, first: await items.next() }
    })
    try {
      if (begun.first.done === true) return
      yield begun.first.value
      yield* begun.items
    } finally {
      await begun.items.return?.()
    }
  }

  /** @throws COM004 where nobody offers it, or becomes known in time */
  async #candidatesOf(target: MethodCodec, withinMs = SEEK_MS): Promise<readonly Candidate[]> {
    const { protocol, major } = target
    const found = this.#deps.candidates(protocol, major)
    if (found.length > 0) return found
    await this.#deps.seek({ protocol, major }, Math.max(1, Math.min(SEEK_MS, withinMs)))
    const later = this.#deps.candidates(protocol, major)
    if (later.length === 0) throw nobodyOffers(target)
    return later
  }

  /** Without those that are left alone, where others are left that the caller would have. */
  #usable(candidates: readonly Candidate[], exclude: readonly string[]): readonly Candidate[] {
    const { breakers, clock } = this.#deps
    if (breakers.isQuiet()) return candidates
    const now = clock.monotonic()
    const closed = candidates.filter(({ peer }) => !breakers.isOpen(peer, now) && !exclude.includes(peer))
    return closed.length === 0 ? candidates : closed
  }

  /** Tries candidates until one succeeds. */
  async #failover<T>(target: MethodCodec, payload: Uint8Array, options: ByteCallOptions, run: RunCall<T>): Promise<T> {
    const { clock, timers } = this.#deps
    const exclude = this.#names.excluded(options)
    const plan = new FailoverPlan(target, options, exclude, clock.monotonic())
    const onProgress: OnProgress = (report, peer) => {
      plan.progressed(clock.monotonic())
      options.onProgress?.(report, peer)
    }
    for (;;) {
      const offering = await this.#candidatesOf(target, plan.leftMs(clock.monotonic()))
      const before = askedBefore(options, offering, target)
      const others = before.length === 0 ? offering : offering.filter(({ peer }) => !before.includes(peer))
      // Whoever is left would be a cycle.
      const [only] = before
      if (only !== undefined && others.every(({ peer }) => exclude.includes(peer))) requireNew(options, only, target)
      const candidates = this.#usable(others, exclude)
      const step = plan.next(candidates, this.#choose, clock.monotonic())
      if (step.kind === 'give-up') return this.#giveUp(plan, target, payload, options, step.error)
      if (step.kind === 'wait') await delay(timers, step.delayMs)
      else {
        try {
          const result = await run(step.peer, this.#optionsFor(step, plan, options, onProgress))
          if (plan.original !== undefined) this.#deps.recoveries.ended(plan.original.code, 'recovered')
          return result
        } catch (error) {
          if (options.signal?.aborted === true || !plan.failed(step.peer, error))
            return this.#giveUp(plan, target, payload, options, error)
          this.#deps.failedOver()
          options.onFailover?.(step.peer, error)
        }
      }
    }
  }

  #optionsFor(
    step: FailoverStep & { kind: 'call' },
    plan: FailoverPlan,
    options: ByteCallOptions,
    onProgress: OnProgress,
  ): ByteCallOptions {
    const { breakers, clock } = this.#deps
    return {
      ...options,
      ...(step.maxMs !== undefined && { maxMs: step.maxMs }),
      timeoutMs: step.timeoutMs,
      extendMs: plan.extendMs,
      attempts: step.attempts,
      isOneOfMany: true,
      anyway: breakers.isOpen(step.peer, clock.monotonic()),
      onProgress,
    }
  }

  #giveUp(
    { original }: FailoverPlan,
    { codec }: MethodCodec,
    payload: Uint8Array,
    { signal, conversationId }: ByteCallOptions,
    error: unknown,
  ): never {
    if (original !== undefined && !isBreakerOpenError(original) && signal?.aborted !== true) {
      const call = { to: undefined, label: codec.label, payload, conversationId }
      this.#deps.recoveries.failed({ ...call, code: original.code, error: original, recoveryError: error }, true)
    }
    throw error
  }
}

export const createLoadBalancer = (deps: LoadBalancerDeps): ByteCalls => new LoadBalancer(deps)
