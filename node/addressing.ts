/**
 * Who a call goes to: one of those that offer a protocol (any), all of them, or a list (all).
 *
 * any: the less loaded of two random candidates; where that fails without having handled the request, or the method is
 * idempotent, the next one. all: everyone at once, answers as they come, until enough came, time is up, or nothing came
 * for a while. Keeps no state of its own.
 */

import { pick } from '../discovery/choose.ts'
import type { Candidate } from '../discovery/directory/offers.ts'
import { type AnyProtocol, type CallOptions, majorOf } from '../protocols/define.ts'
import { isParleyError, ParleyError } from '../protocols/errors.ts'
import type { Clock, Timers } from '../protocols/port.ts'
import { mayFailOver, neverHandled } from '../protocols/wire/retry.ts'
import type { AllClient, AnyClient, AnyOptions, Reply, ScatterOptions } from './clients.ts'
import type { Callable, Invoke } from './invoke.ts'

export interface AddressingDeps {
  clock: Clock
  timers: Timers
  invoke: Invoke
  chance(): number
  /** Everyone who offers it, this node included. */
  candidates(protocol: string, major: number): readonly Candidate[]
  loadOf(peer: string): number
  /** Resolves once the directory is worth asking; at once when it is. */
  settled(timeoutMs: number): Promise<void>
  failedOver(): void
}

export interface Addressing {
  any<P extends AnyProtocol>(protocol: P, defaults?: AnyOptions): AnyClient<P>
  all<P extends AnyProtocol>(protocol: P, peers?: readonly string[], defaults?: ScatterOptions): AllClient<P>
}

/** How long a call waits for a directory that was never synced: a node that has just started. */
const SETTLE_MS = 2_000
const RETRY_ROUND_MS = 100
const MAX_ROUNDS = 3

const nobody = (protocol: AnyProtocol): ParleyError =>
  new ParleyError('COM004', `no agent in the mesh offers ${protocol.name} ${majorOf(protocol.version)}.x`, {
    hint: 'start an agent that serves it; `parley agents` lists what is offered',
  })

export const createAddressing = (deps: AddressingDeps): Addressing => {
  const { clock, timers, invoke } = deps

  const candidatesOf = async (protocol: AnyProtocol): Promise<readonly Candidate[]> => {
    const major = majorOf(protocol.version)
    const found = deps.candidates(protocol.name, major)
    if (found.length > 0) return found
    await deps.settled(SETTLE_MS)
    const later = deps.candidates(protocol.name, major)
    if (later.length === 0) throw nobody(protocol)
    return later
  }

  const sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      timers.after(ms, resolve)
    })

  /** Tries candidates until one succeeds; `run` says whether it got far enough that nobody else may be tried. */
  const failover = async <T>(
    protocol: AnyProtocol,
    target: Callable,
    options: AnyOptions,
    run: (peer: string, options: CallOptions) => Promise<T>,
  ): Promise<T> => {
    const deadlineAt = clock.monotonic() + (options.timeoutMs ?? target.codec.timeoutMs)
    const tried = new Set<string>()
    let last: unknown
    for (let round = 1; ; ) {
      const candidates = await candidatesOf(protocol)
      const chosen = pick(candidates, deps.loadOf, deps.chance, tried)
      if (chosen === undefined) {
        // All were tried. Those who were only busy, or restarted meanwhile, get another chance.
        if (round >= MAX_ROUNDS || !isParleyError(last, 'COM002', 'COM003') || !neverHandled(last))
          throw last ?? nobody(protocol)
        round += 1
        tried.clear()
        await sleep(Math.min(RETRY_ROUND_MS * round, Math.max(1, deadlineAt - clock.monotonic())))
        continue
      }
      const leftMs = deadlineAt - clock.monotonic()
      if (leftMs < 1) throw last ?? nobody(protocol)
      try {
        return await run(chosen.peer, { ...options, timeoutMs: leftMs })
      } catch (error) {
        if (!mayFailOver(error, target.codec.idempotent)) throw error
        tried.add(chosen.peer)
        last = error
        deps.failedOver()
        options.onFailover?.(chosen.peer, error)
      }
    }
  }

  const anyUnary = (protocol: AnyProtocol, target: Callable, input: unknown, options: AnyOptions): Promise<unknown> => {
    const payload = target.codec.encode(input)
    return failover(protocol, target, options, (peer, given) =>
      target.codec.kind === 'unary'
        ? invoke.unary(peer, target, payload, given)
        : invoke.oneWay(peer, target, payload, given),
    )
  }

  /** Another peer may take a stream over as long as nothing of it came. */
  async function* anyStream(protocol: AnyProtocol, target: Callable, input: unknown, options: AnyOptions) {
    const payload = target.codec.encode(input)
    const begun = await failover(protocol, target, options, async (peer, given) => {
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
    protocol: AnyProtocol,
    target: Callable,
    peers: readonly string[] | undefined,
    input: unknown,
    options: ScatterOptions,
  ): AsyncGenerator<Reply<unknown>, void, undefined> {
    const payload = target.codec.encode(input)
    const asked: readonly { peer: string; name: string }[] =
      peers === undefined ? await candidatesOf(protocol) : peers.map((peer) => ({ peer, name: '' }))
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
    for (const { peer, name } of asked) {
      invoke.unary(peer, target, payload, { ...options, signal }).then(
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

  return {
    any(protocol, defaults) {
      const client: Record<string, unknown> = {}
      for (const name of Object.keys(protocol.methods)) {
        const target = invoke.callable(protocol, name)
        client[name] =
          target.codec.kind === 'stream'
            ? (input: unknown, options?: AnyOptions) => anyStream(protocol, target, input, { ...defaults, ...options })
            : async (input: unknown, options?: AnyOptions) =>
                anyUnary(protocol, target, input, { ...defaults, ...options })
      }
      return client as AnyClient<typeof protocol>
    },
    all(protocol, peers, defaults) {
      const client: Record<string, unknown> = {}
      for (const name of Object.keys(protocol.methods)) {
        const target = invoke.callable(protocol, name)
        if (target.codec.kind !== 'unary') continue
        client[name] = (input: unknown, options?: ScatterOptions) =>
          scatter(protocol, target, peers, input, { ...defaults, ...options })
      }
      return client as AllClient<typeof protocol>
    },
  }
}
