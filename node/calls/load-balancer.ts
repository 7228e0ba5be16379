/**
 * Who a call goes to: the agent of a name, one of those that offer a protocol (any), all of them, or a list (all).
 *
 * any: the less loaded of two random candidates; where that fails without having handled the request, or the method is
 * idempotent, the next one, at once; only the last of them is asked again and again. all: everyone at once, answers as
 * they come, until enough came, time is up, or nothing came for a while. Who failed too often lately
 * (delivery/recovery/peer-breakers.ts) is not chosen while others offer the protocol, and asked all the same where nobody else does.
 */

import { checkTarget, isPeerId, peerIdOf, resolveTarget } from '../../discovery/directory/find-agent.ts'
import type { Agent } from '../../discovery/directory/tables/agent-change.ts'
import type { Candidate } from '../../discovery/directory/tables/offer-index.ts'
import { pick } from '../../discovery/two-choices.ts'
import type { Recoveries } from '../../protocols/delivery/recovery/error-recovery.ts'
import { isBreakerOpenError, type PeerBreakers } from '../../protocols/delivery/recovery/peer-breakers.ts'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import type { Clock, Timers } from '../../protocols/port.ts'
import { mayFailOver, neverHandled } from '../../protocols/wire/caller/retry-policy.ts'
import type { ByteCallOptions, ByteCalls, Reply } from './clients.ts'
import type { MethodCodec } from './method-codecs.ts'
import type { RetryingCall } from './retrying-call.ts'

export interface LoadBalancerDeps {
  clock: Clock
  timers: Timers
  invoke: RetryingCall
  chance(): number
  /** Everyone who offers it, this node included. */
  candidates(protocol: string, major: number): readonly Candidate[]
  /** Everyone in the directory, for names. */
  agents(): readonly Agent[]
  loadOf(peer: string): number
  /** Resolves once the directory is worth asking; at once when it is. */
  settled(timeoutMs: number): Promise<void>
  failedOver(): void
  breakers: PeerBreakers
  recoveries: Recoveries
}

/** How long a call waits for a directory that was never synced: a node that has just started. */
const SETTLE_MS = 2_000
const RETRY_ROUND_MS = 100
const NOBODY: readonly string[] = []
const MAX_ROUNDS = 3

const nobody = ({ protocol, major }: MethodCodec): ParleyError =>
  new ParleyError('COM004', `no agent in the mesh offers ${protocol} ${major}.x`, {
    hint: 'start an agent that serves it; `parley agents` lists what is offered',
  })

const noTime = ({ label }: MethodCodec['codec'], timeoutMs: number): ParleyError =>
  new ParleyError('COM001', `the ${timeoutMs} ms for ${label} were over before it could be sent`, {
    hint: 'give it more time with timeoutMs',
    details: { sent: false },
  })

/** Agents by their names, as the directory has them at each use. */
const createNames = ({ clock, agents, settled }: Pick<LoadBalancerDeps, 'clock' | 'agents' | 'settled'>) => {
  /** The peer id of a name; a node that has just started first hears of the others. @throws COM002, STA003 */
  const lookUp = async (nameOrId: string, withinMs: number): Promise<string> => {
    try {
      return peerIdOf(agents, nameOrId)
    } catch (error) {
      if (!isParleyError(error, 'COM002')) throw error
      await settled(Math.max(1, Math.min(SETTLE_MS, withinMs)))
      return peerIdOf(agents, nameOrId)
    }
  }

  /** The same call to the agent of a name, with what is left of its time. */
  const atName = async (name: string, { codec }: MethodCodec, options: ByteCallOptions) => {
    const startedAt = clock.monotonic()
    const timeoutMs = options.timeoutMs ?? codec.timeoutMs
    const peer = await lookUp(name, timeoutMs)
    return { peer, options: { ...options, timeoutMs: Math.max(1, timeoutMs - (clock.monotonic() - startedAt)) } }
  }

  /** With the third party by its peer id: whoever answers may know another agent by this name. @throws MSG001, COM002, STA003 */
  const replyingTo = (options: ByteCallOptions): ByteCallOptions => {
    const { replyTo } = options
    if (replyTo === undefined || (typeof replyTo === 'string' && replyTo.startsWith('topic:'))) return options
    return { ...options, replyTo: resolveTarget(agents, replyTo, 'replyTo') }
  }

  /** Peer ids of those that must not be chosen; a name that nobody has leaves out nobody. */
  const excludedBy = ({ exclude = NOBODY }: ByteCallOptions): readonly string[] =>
    exclude === NOBODY
      ? NOBODY
      : exclude.flatMap((one) =>
          isPeerId(checkTarget(one, 'exclude'))
            ? [one]
            : agents().flatMap(({ peer, name }) => (name === one ? [peer] : [])),
        )

  return { atName, replyingTo, excludedBy }
}

export const createLoadBalancer = (deps: LoadBalancerDeps): ByteCalls => {
  const { clock, timers, invoke, breakers, recoveries } = deps
  const { atName, replyingTo, excludedBy } = createNames(deps)

  /** @throws COM004 where nobody offers it, or becomes known in time */
  const candidatesOf = async (target: MethodCodec, withinMs = SETTLE_MS): Promise<readonly Candidate[]> => {
    const found = deps.candidates(target.protocol, target.major)
    if (found.length > 0) return found
    await deps.settled(Math.max(1, Math.min(SETTLE_MS, withinMs)))
    const later = deps.candidates(target.protocol, target.major)
    if (later.length === 0) throw nobody(target)
    return later
  }

  const sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      timers.after(ms, resolve)
    })

  /** Without those that are left alone, where others are left that the caller would have. */
  const usable = (candidates: readonly Candidate[], exclude: readonly string[]): readonly Candidate[] => {
    if (breakers.isQuiet()) return candidates
    const now = clock.monotonic()
    const closed = candidates.filter(({ peer }) => !breakers.isOpen(peer, now) && !exclude.includes(peer))
    return closed.length === 0 ? candidates : closed
  }

  /** Tries candidates until one succeeds; `run` says whether it got far enough that nobody else may be tried. */
  const failover = async <T>(
    target: MethodCodec,
    payload: Uint8Array,
    options: ByteCallOptions,
    run: (peer: string, options: ByteCallOptions) => Promise<T>,
  ): Promise<T> => {
    const extendMs = options.timeoutMs ?? target.codec.timeoutMs
    const limitAt = clock.monotonic() + (options.maxMs ?? Number.POSITIVE_INFINITY)
    let deadlineAt = Math.min(clock.monotonic() + extendMs, limitAt)
    /** Whoever has the call works on it: it goes to nobody else, and its time counts anew. */
    const onProgress: ByteCallOptions['onProgress'] = (report, peer) => {
      deadlineAt = Math.min(clock.monotonic() + extendMs, limitAt)
      options.onProgress?.(report, peer)
    }
    const exclude = excludedBy(options)
    const tried = new Set(exclude)
    let last: unknown
    /** What was recovered from. */
    let original: ParleyError | undefined
    const giveUp = (error: unknown): never => {
      if (original !== undefined && !isBreakerOpenError(original) && options.signal?.aborted !== true) {
        const { conversationId } = options
        const recovery = { to: undefined, label: target.codec.label, payload, conversationId }
        recoveries.failed({ ...recovery, code: original.code, error: original, recoveryError: error }, true)
      }
      throw error
    }
    for (let round = 1; ; ) {
      const candidates = usable(await candidatesOf(target, deadlineAt - clock.monotonic()), exclude)
      const chosen = pick(candidates, deps.loadOf, deps.chance, tried)
      if (chosen === undefined) {
        // All were tried. Those who were only busy, or restarted meanwhile, get another chance.
        const isFinal = isBreakerOpenError(last) || !isParleyError(last, 'COM002', 'COM003') || !neverHandled(last)
        if (round >= MAX_ROUNDS || isFinal) return giveUp(last ?? nobody(target))
        round += 1
        tried.clear()
        for (const peer of exclude) tried.add(peer)
        await sleep(Math.min(RETRY_ROUND_MS * round, Math.max(1, deadlineAt - clock.monotonic())))
        continue
      }
      const leftMs = deadlineAt - clock.monotonic()
      if (leftMs <= 0) return giveUp(last ?? noTime(target.codec, extendMs))
      try {
        // While others are left to be asked, nobody is asked twice.
        const isLast = candidates.every(({ peer }) => peer === chosen.peer || tried.has(peer))
        const attempts = isLast ? undefined : 1
        const limit = options.maxMs === undefined ? {} : { maxMs: limitAt - clock.monotonic() }
        const anyway = breakers.isOpen(chosen.peer, clock.monotonic())
        const way = { timeoutMs: Math.max(1, leftMs), extendMs, attempts, isOneOfMany: true, anyway, onProgress }
        const result = await run(chosen.peer, { ...options, ...limit, ...way })
        if (original !== undefined) recoveries.ended(original.code, 'recovered')
        return result
      } catch (error) {
        if (!mayFailOver(error, target.codec.idempotent) || options.signal?.aborted === true) return giveUp(error)
        original ??= error
        tried.add(chosen.peer)
        last = error
        deps.failedOver()
        options.onFailover?.(chosen.peer, error)
      }
    }
  }

  const call = (peer: string, target: MethodCodec, payload: Uint8Array, options: ByteCallOptions): Promise<unknown> =>
    target.codec.kind === 'unary'
      ? invoke.unary(peer, target, payload, options)
      : invoke.oneWay(peer, target, payload, options)

  /** Another peer may take a stream over as long as nothing of it came. */
  async function* anyStream(target: MethodCodec, payload: Uint8Array, options: ByteCallOptions) {
    const begun = await failover(target, payload, options, async (peer, given) => {
      const items = invoke.stream(peer, target, payload, given)
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

  async function* scatter(
    target: MethodCodec,
    peers: readonly string[] | undefined,
    payload: Uint8Array,
    options: ByteCallOptions,
  ): AsyncGenerator<Reply<unknown>, void, undefined> {
    const asked: readonly { peer: string; name: string }[] =
      peers === undefined
        ? await candidatesOf(target)
        : peers.map((peer) => ({ peer, name: isPeerId(peer) ? '' : peer }))
    const stop = new AbortController()
    const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal])
    const replies: Reply<unknown>[] = []
    let wake: (() => void) | undefined
    let pending = asked.length
    let succeeded = 0
    const add = (reply: Reply<unknown>): void => {
      pending -= 1
      replies.push(reply)
      wake?.()
    }
    // Somebody works on it: that is no stall.
    const onProgress: ByteCallOptions['onProgress'] = (report, peer) => {
      wake?.()
      options.onProgress?.(report, peer)
    }
    const given = { ...options, signal, onProgress }
    for (const { peer: called, name } of asked) {
      let peer = called
      const found = name === called ? atName(name, target, given) : undefined
      const answer =
        found === undefined
          ? invoke.unary(peer, target, payload, given)
          : found.then((at) => {
              peer = at.peer
              return invoke.unary(peer, target, payload, at.options)
            })
      answer.then(
        (value) => add({ peer, name, value }),
        (error: unknown) => add({ peer, name, error }),
      )
    }
    try {
      while (pending > 0 || replies.length > 0) {
        const reply = replies.shift()
        if (reply === undefined) {
          const stalled = await new Promise<boolean>((resolve) => {
            const stopTimer =
              options.stallMs === undefined ? () => {} : timers.after(options.stallMs, () => resolve(true))
            wake = () => {
              stopTimer()
              wake = undefined
              resolve(false)
            }
          })
          if (stalled) return
          continue
        }
        if (options.signal?.aborted) throw options.signal.reason
        yield reply
        if (!('error' in reply)) succeeded += 1
        if (options.count !== undefined && succeeded >= options.count) return
      }
    } finally {
      stop.abort(new ParleyError('COM001', 'enough answers came', { hint: 'stop working on it' }))
    }
  }

  async function* namedStream(name: string, target: MethodCodec, payload: Uint8Array, given: ByteCallOptions) {
    const { peer, options } = await atName(name, target, given)
    yield* invoke.stream(peer, target, payload, options)
  }

  return {
    one(address, target, payload, given) {
      const options = given.replyTo === undefined ? given : replyingTo(given)
      if (address.kind === 'peer') return call(address.peer, target, payload, options)
      if (address.kind === 'name')
        return atName(address.name, target, options).then((at) => call(at.peer, target, payload, at.options))
      return failover(target, payload, options, (peer, way) => call(peer, target, payload, way))
    },
    stream(address, target, payload, options) {
      if (address.kind === 'peer') return invoke.stream(address.peer, target, payload, options)
      if (address.kind === 'name') return namedStream(address.name, target, payload, options)
      return anyStream(target, payload, options)
    },
    all: (address, target, payload, options) =>
      scatter(target, address.kind === 'all' ? address.peers : undefined, payload, replyingTo(options)),
  }
}
