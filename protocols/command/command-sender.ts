/**
 * The sending side of commands: attempts with backoff under one command id, until it is acknowledged or given up.
 *
 * An attempt that was not acknowledged (COM001, COM002, COM003) is made again at the same peer, where the id keeps it from
 * running twice; for whoever registered the type another peer is taken, but only where the first one cannot have begun.
 * State: two counts.
 */
import { delay } from '../async.ts'
import { NO_AMOUNTS } from '../budget/amounts.ts'
import { type AttemptObserver, GivenShare, shareFor } from '../budget/carried/budget-share.ts'
import type { CallOptions } from '../define.ts'
import { fromFault, isParleyError, ParleyError } from '../errors.ts'
import type { Port } from '../port.ts'
import { checkParent, leftOf, signalOf, withoutBudget } from '../request-in-work.ts'
import { askedFor, requireNoCycle } from '../wire/delegation-chain.ts'
import type { AnyReceiver, CommandAck, CommandOptions, CommandOutcome, CommandOutcomes } from './api.ts'
import { type CommandProtocol, commandProtocolName } from './command-definition.ts'
import {
  attemptTimeoutMs,
  mayHaveBegun,
  type RetrySettings,
  retryDelayMs,
  retrySettingsOf,
  wasRefused,
} from './command-retry.ts'

export interface CommandSenderDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'random' | 'to'>
  /**
   * A peer that serves all of these protocols and was not tried: the less loaded of two. Waits for a node that has just
   * started to know the others.
   */
  choose(protocols: readonly string[], major: number, tried: ReadonlySet<string>): Promise<string | undefined>
  /** The peer id of a target, which may be a name; itself unless given. @throws MSG001, COM002, STA003 */
  peerOf?: ((given: unknown) => string) | undefined
}

interface Prepared {
  readonly type: string
  readonly protocol: CommandProtocol
  readonly parameters: unknown
}

interface Order extends Prepared {
  readonly commandId: string
  readonly options: CommandOptions
  /** What it has of a budget. */
  readonly given: GivenShare | undefined
  /** Names that, where there is something. */
  readonly part: string
}

const MAX_TARGETS = 1_024

const unknown = (type: string, peer: string, cause: unknown): ParleyError =>
  new ParleyError('MSG006', `${peer} has no handler for the command ${type}`, {
    hint: 'register one there, or send it to { capability } to reach whoever has one',
    details: { type },
    cause,
  })

const nobody = (type: string): ParleyError =>
  new ParleyError('COM004', `no agent in the mesh registered the command ${type}`, {
    hint: 'register it on some agent; `parley agents` lists it as command-<type>',
  })

const callOptions = (
  options: CommandOptions,
  timeoutMs: number,
  attemptObserver: AttemptObserver | undefined,
): CallOptions & { readonly attemptObserver?: AttemptObserver } => ({
  timeoutMs,
  ...(attemptObserver === undefined ? {} : { attemptObserver }),
  priority: options.priority ?? 'high',
  headers: { ...options.headers, 'message-type': 'COMMAND', performative: 'request' },
  ...(options.signal === undefined ? {} : { signal: options.signal }),
  ...(options.conversationId === undefined ? {} : { conversationId: options.conversationId }),
  // Its budget goes with the command, whichever attempt begins it.
  ...(options.parent === undefined ? {} : { parent: withoutBudget(options.parent) }),
})

/** Outcomes as they come, or all of them in the order of the targets. */
const outcomesOf = (outcomes: readonly Promise<CommandOutcome>[]): CommandOutcomes => ({
  settled: () => Promise.all(outcomes),
  async *[Symbol.asyncIterator]() {
    const waiting = new Map(outcomes.map((outcome, i) => [i, outcome.then((value) => ({ i, value }))]))
    while (waiting.size > 0) {
      const { i, value } = await Promise.race(waiting.values())
      waiting.delete(i)
      yield value
    }
  },
})

/** Whether somebody may have got a request, after all the times that it was sent. */
class SendingNote implements AttemptObserver {
  isSent = false

  sent(): void {
    this.isSent = true
  }

  failed(isUnhandled: boolean): void {
    if (isUnhandled) this.isSent = false
  }
}

export class CommandSender {
  readonly #port: CommandSenderDeps['port']
  readonly #choose: CommandSenderDeps['choose']
  readonly #peerOf: (given: unknown) => string
  #sent = 0
  #retries = 0

  constructor({ port, choose, peerOf = String }: CommandSenderDeps) {
    this.#port = port
    this.#choose = choose
    this.#peerOf = peerOf
  }

  one(target: string | AnyReceiver, prepared: Prepared, options: CommandOptions): Promise<CommandAck> {
    if (typeof target !== 'object' || target === null) {
      return this.#deliver(this.#peerOf(target), [], prepared, options)
    }
    const protocols = [commandProtocolName(prepared.type), commandProtocolName(target.capability)]
    return this.#deliver(undefined, [...new Set(protocols)], prepared, options)
  }

  list(targets: readonly string[], prepared: Prepared, options: CommandOptions): CommandOutcomes {
    const peers = [...new Set(targets)]
    if (peers.length > MAX_TARGETS)
      throw new ParleyError('MSG001', `a command to ${peers.length} peers at once`, { hint: `at most ${MAX_TARGETS}` })
    const commandId = options.commandId ?? this.#newId()
    return outcomesOf(peers.map((given) => this.#outcome(given, prepared, { ...options, commandId })))
  }

  counts(): { readonly sent: number; readonly retries: number } {
    return { sent: this.#sent, retries: this.#retries }
  }

  async #outcome(given: string, prepared: Prepared, options: CommandOptions): Promise<CommandOutcome> {
    let peer = given
    try {
      peer = this.#peerOf(given)
      return { peer, ack: await this.#deliver(peer, [], prepared, options) }
    } catch (error) {
      if (error instanceof ParleyError) return { peer, error }
      const fault = { hint: 'see its cause', cause: error }
      return { peer, error: new ParleyError('COM001', 'the command was given up', fault) }
    }
  }

  /**
   * @param first the peer; undefined for any one that serves all of `protocols`
   */
  async #deliver(
    first: string | undefined,
    protocols: readonly string[],
    prepared: Prepared,
    options: CommandOptions,
  ): Promise<CommandAck> {
    const { parent, commandId = this.#newId() } = options
    const share = shareFor(options.budget, parent && checkParent(parent).budget)
    const given = share && GivenShare.of(share, this.#port.clock)
    try {
      const part = given === undefined ? '' : this.#newId()
      return await this.#attempts(first, protocols, { ...prepared, commandId, options, given, part })
    } finally {
      given?.end(true)
    }
  }

  async #attempts(first: string | undefined, protocols: readonly string[], order: Order): Promise<CommandAck> {
    const { commandId, options, given } = order
    const { parent } = options
    const settings = retrySettingsOf(options)
    const signal = parent === undefined ? options.signal : signalOf(checkParent(parent), options.signal)
    const timeoutMs = given?.cut(settings.timeoutMs) ?? settings.timeoutMs
    const deadlineAt = this.#now() + Math.min(timeoutMs, parent === undefined ? timeoutMs : leftOf(parent))
    const label = `${order.protocol.name}.run`
    const major = Number(order.protocol.version.split('.')[0])
    // Who was asked for it on behalf of the same request is not asked again.
    const tried = new Set(parent === undefined ? [] : askedFor(parent.chain, label))
    signal?.throwIfAborted()
    this.#sent += 1
    let isBound = first !== undefined
    let peer = first ?? (await this.#choose(protocols, major, tried))
    if (peer === undefined && parent !== undefined && tried.size > 0) {
      const again = await this.#choose(protocols, major, new Set())
      if (again !== undefined) requireNoCycle(parent.chain, again, label)
    }
    if (peer === undefined) throw nobody(order.type)
    for (let count = 1; ; count += 1) {
      const leftMs = deadlineAt - this.#now()
      try {
        const result = await this.#attempt(peer, order, leftMs, count, settings)
        return { commandId, status: 'ack', result, peer, attempts: count }
      } catch (error) {
        if (signal?.aborted === true) {
          this.#cancel(peer, order)
          throw error
        }
        // Once it may have begun somewhere, it stays there.
        isBound ||= mayHaveBegun(error)
        tried.add(peer)
        const next: string | undefined = isBound ? undefined : await this.#choose(protocols, major, tried)
        if (next !== undefined) {
          // Not an attempt of its own: nobody has begun it yet.
          peer = next
          count -= 1
        } else {
          const delayMs = retryDelayMs(error, count, deadlineAt - this.#now(), settings, () => this.#chance())
          if (delayMs === undefined) throw error
          await delay(this.#port.timers, delayMs, signal)
        }
        this.#retries += 1
      }
    }
  }

  /** One attempt. @throws what Commands.send() does */
  async #attempt(peer: string, order: Order, leftMs: number, count: number, settings: RetrySettings): Promise<unknown> {
    const { type, protocol, parameters, commandId, options, given, part } = order
    // Of an attempt that nothing was heard of nobody knows what it spends: what it brought is not given a second time.
    const again = given?.isOut() === true
    const budget = again ? given.beginAgain() : given?.begin()
    const request = {
      ...{ command_id: commandId, timeout_ms: Math.max(1, Math.floor(leftMs)), parameters },
      ...(budget !== undefined && { budget, part, ...(again && { again }) }),
    }
    const waitMs = Math.max(1, Math.min(attemptTimeoutMs(count, leftMs, settings), leftMs))
    const sending = new SendingNote()
    const answer = await this.#port
      .to(peer, protocol)
      .run(request, callOptions(options, waitMs, given && sending))
      .catch((error: unknown) => {
        const failure = isParleyError(error, 'MSG004') ? unknown(type, peer, error) : error
        if (sending.isSent) given?.sent()
        // What an attempt before it brought stays there.
        if (!again) given?.failed(wasRefused(failure))
        throw failure
      })
    given?.told(answer.remaining ?? NO_AMOUNTS)
    if (answer.status === 'ack') return answer.result
    const { code, message, hint, details } = answer.error
    throw fromFault({
      code,
      message,
      ...(hint === undefined ? {} : { hint }),
      details: { reason: answer.reason, ...details, command_id: commandId, status: 'nack' },
    })
  }

  /** It may run there, and whoever gave it up does not wait for the answer. */
  #cancel(peer: string, { protocol, commandId }: Order): void {
    void this.#port
      .to(peer, protocol)
      .cancel({ command_id: commandId })
      .catch(() => {})
  }

  #now(): number {
    return this.#port.clock.monotonic()
  }

  #chance(): number {
    return (this.#port.random(1)[0] ?? 0) / 255
  }

  #newId(): string {
    return [...this.#port.random(16)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  }
}
