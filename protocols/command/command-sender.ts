/**
 * The sending side of commands: attempts with backoff under one command id, until it is acknowledged or given up.
 *
 * An attempt that was not acknowledged (COM001, COM002, COM003) is made again at the same peer, where the id keeps it from
 * running twice; for whoever registered the type another peer is taken, but only where the first one cannot have begun.
 * Keeps no state but two counts.
 */
import type { CallOptions } from '../define.ts'
import { fromFault, isParleyError, ParleyError } from '../errors.ts'
import type { Port } from '../port.ts'
import { neverHandled } from '../wire/caller/retry-policy.ts'
import type { AnyReceiver, CommandAck, CommandOptions, CommandOutcome, CommandOutcomes } from './api.ts'
import { type CommandProtocol, commandProtocolName } from './command-definition.ts'

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

const TIMEOUT_MS = 30_000
const ACK_TIMEOUT_MS = 5_000
const RETRY = { maxRetries: 3, initialDelayMs: 1_000, maxDelayMs: 30_000 }
const LEAST_JITTER = 0.75
const MOST_JITTER = 1.25
const MAX_RETRIES = 100
const MAX_TARGETS = 1_024
const MAX_MS = 24 * 3_600_000

const whole = (name: string, value: number, least: number, most: number): number => {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new ParleyError('MSG001', `${name} of a command is ${value}`, {
    hint: `give a whole number from ${least} to ${most}`,
  })
}

const settingsOf = (options: CommandOptions) => {
  const { maxRetries, initialDelayMs, maxDelayMs } = { ...RETRY, ...options.retry }
  return {
    timeoutMs: whole('timeoutMs', options.timeoutMs ?? TIMEOUT_MS, 1, MAX_MS),
    ackTimeoutMs: whole('ackTimeoutMs', options.ackTimeoutMs ?? ACK_TIMEOUT_MS, 1, MAX_MS),
    maxRetries: whole('retry.maxRetries', maxRetries, 0, MAX_RETRIES),
    initialDelayMs: whole('retry.initialDelayMs', initialDelayMs, 1, MAX_MS),
    maxDelayMs: whole('retry.maxDelayMs', maxDelayMs, 1, MAX_MS),
  }
}

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

export const createCommandSender = ({ port, choose, peerOf = String }: CommandSenderDeps) => {
  const counts = { sent: 0, retries: 0 }
  const now = (): number => port.clock.monotonic()
  const chance = (): number => (port.random(1)[0] ?? 0) / 255

  const newId = (): string => [...port.random(16)].map((byte) => byte.toString(16).padStart(2, '0')).join('')

  const pause = (delayMs: number, signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve, reject) => {
      const abort = (): void => {
        stop()
        reject(signal?.reason)
      }
      const stop = port.timers.after(delayMs, () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      })
      if (signal?.aborted) abort()
      signal?.addEventListener('abort', abort, { once: true })
    })

  const callOptions = (options: CommandOptions, timeoutMs: number): CallOptions => ({
    timeoutMs,
    priority: options.priority ?? 'high',
    headers: { ...options.headers, 'message-type': 'COMMAND', performative: 'request' },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.conversationId === undefined ? {} : { conversationId: options.conversationId }),
  })

  /** One attempt. @throws what Commands.send() does */
  const attempt = async (
    peer: string,
    { type, protocol, parameters }: Prepared,
    commandId: string,
    options: CommandOptions,
    leftMs: number,
    ackTimeoutMs: number,
  ) => {
    const request = { command_id: commandId, timeout_ms: Math.max(1, Math.floor(leftMs)), parameters }
    const answer = await port
      .to(peer, protocol)
      .run(request, callOptions(options, Math.max(1, Math.min(ackTimeoutMs, leftMs))))
      .catch((error: unknown) => {
        throw isParleyError(error, 'MSG004') ? unknown(type, peer, error) : error
      })
    if (answer.status === 'ack') return answer.result
    const { code, message, hint, details } = answer.error
    throw fromFault({
      code,
      message,
      ...(hint === undefined ? {} : { hint }),
      details: { ...details, command_id: commandId, status: 'nack', reason: answer.reason },
    })
  }

  /** Milliseconds until the next attempt; undefined to give up. */
  const waitMs = (error: unknown, count: number, leftMs: number, settings: ReturnType<typeof settingsOf>) => {
    if (!isParleyError(error, 'COM001', 'COM002', 'COM003') || count > settings.maxRetries) return undefined
    const top = Math.min(settings.maxDelayMs, settings.initialDelayMs * 2 ** (count - 1))
    const told = error.details.retryAfterMs
    const delayMs = Math.max(
      typeof told === 'number' ? told : 0,
      top * (LEAST_JITTER + chance() * (MOST_JITTER - LEAST_JITTER)),
    )
    return delayMs < leftMs ? delayMs : undefined
  }

  /** The last attempt waits to the end: the command may still run, and nobody would ask again. */
  const ackMs = (count: number, leftMs: number, settings: ReturnType<typeof settingsOf>): number => {
    const { ackTimeoutMs, initialDelayMs, maxDelayMs, maxRetries } = settings
    const waitMost = MOST_JITTER * Math.min(maxDelayMs, initialDelayMs * 2 ** (count - 1))
    return count > maxRetries || ackTimeoutMs + waitMost >= leftMs ? leftMs : ackTimeoutMs
  }

  const toPeer = async (
    first: string | undefined,
    among: readonly string[],
    prepared: Prepared,
    options: CommandOptions,
  ): Promise<CommandAck> => {
    const settings = settingsOf(options)
    const { commandId = newId(), signal } = options
    const deadlineAt = now() + settings.timeoutMs
    const major = Number(prepared.protocol.version.split('.')[0])
    const tried = new Set<string>()
    signal?.throwIfAborted()
    counts.sent += 1
    let isBound = first !== undefined
    let peer = first ?? (await choose(among, major, tried))
    if (peer === undefined) throw nobody(prepared.type)
    for (let count = 1; ; count += 1) {
      const leftMs = deadlineAt - now()
      try {
        const result = await attempt(peer, prepared, commandId, options, leftMs, ackMs(count, leftMs, settings))
        return { command_id: commandId, status: 'ack', result, peer, attempts: count }
      } catch (error) {
        if (signal?.aborted === true) {
          // It may run there, and whoever gave it up does not wait for the answer.
          void port
            .to(peer, prepared.protocol)
            .cancel({ command_id: commandId })
            .catch(() => {})
          throw error
        }
        // Once it may have begun somewhere, it stays there.
        isBound ||= !(isParleyError(error) && (error.code === 'MSG006' || neverHandled(error)))
        tried.add(peer)
        const next: string | undefined = isBound ? undefined : await choose(among, major, tried)
        if (next !== undefined) {
          // Not an attempt of its own: nobody has begun it yet.
          peer = next
          count -= 1
        } else {
          const delayMs = waitMs(error, count, deadlineAt - now(), settings)
          if (delayMs === undefined) throw error
          await pause(delayMs, signal)
        }
        counts.retries += 1
      }
    }
  }

  const toList = (targets: readonly string[], prepared: Prepared, options: CommandOptions): CommandOutcomes => {
    const peers = [...new Set(targets)]
    if (peers.length > MAX_TARGETS)
      throw new ParleyError('MSG001', `a command to ${peers.length} peers at once`, { hint: `at most ${MAX_TARGETS}` })
    const commandId = options.commandId ?? newId()
    const outcomes = peers.map(async (given): Promise<CommandOutcome> => {
      let peer = given
      try {
        peer = peerOf(given)
        return { peer, ack: await toPeer(peer, [], prepared, { ...options, commandId }) }
      } catch (error) {
        const told = error instanceof ParleyError ? error : undefined
        const fault = { hint: 'see its cause', cause: error }
        return { peer, error: told ?? new ParleyError('COM001', 'the command was given up', fault) }
      }
    })
    return {
      settled: () => Promise.all(outcomes),
      async *[Symbol.asyncIterator]() {
        const waiting = new Map(outcomes.map((outcome, i) => [i, outcome.then((value) => ({ i, value }))]))
        while (waiting.size > 0) {
          const { i, value } = await Promise.race(waiting.values())
          waiting.delete(i)
          yield value
        }
      },
    }
  }

  return {
    one: (target: string | AnyReceiver, prepared: Prepared, options: CommandOptions): Promise<CommandAck> =>
      typeof target !== 'object' || target === null
        ? toPeer(peerOf(target), [], prepared, options)
        : toPeer(
            undefined,
            [...new Set([commandProtocolName(prepared.type), commandProtocolName(target.capability)])],
            prepared,
            options,
          ),
    list: toList,
    counts: () => counts,
  }
}
