/**
 * Commands: something that an agent is told to do, by type, and that it acknowledges (seed 002, "Command Pattern").
 *
 * A command is acknowledged with `{ command_id, status: 'ack', result }`, or refused with a nack that carries a typed error
 * and a reason. It is sent again until it is acknowledged, and the receiver runs it once for each command id, as long as it
 * remembers it: for 10 minutes, among its last 4,096, and not after a restart. The envelope of a command says
 * COMMAND, its performative is `request`. Wire id: one protocol for each type, `/parley/command-<type>/<major>`.
 * State: what is registered here, and what command-receiver.ts remembers.
 */
import type { AnyProtocol, Context, Handlers } from '../define.ts'
import { ParleyError } from '../errors.ts'
import type { Port } from '../port.ts'
import { createRegistration, type Registration } from '../registration.ts'
import { checkKeys, keysOf } from '../unknown-keys.ts'
import type { CommandHandler, CommandOptions, CommandRetry, Commands } from './api.ts'
import type { CommandDeduplicationLimits } from './command-deduplication.ts'
import { type CommandDefinition, type CommandProtocol, commandProtocol, definitionOf } from './command-definition.ts'
import { createCommandReceiver } from './command-receiver.ts'
import type { RunRequest } from './command-run.ts'
import { CommandSender, type CommandSenderDeps } from './command-sender.ts'

const OPTION_KEYS = keysOf<CommandOptions>({
  timeoutMs: true,
  ackTimeoutMs: true,
  retry: true,
  priority: true,
  conversationId: true,
  headers: true,
  commandId: true,
  signal: true,
  parent: true,
  budget: true,
})
const RETRY_KEYS = keysOf<CommandRetry>({ maxRetries: true, initialDelayMs: true, maxDelayMs: true })
const MAX_REGISTERED = 256
/** Types that were sent by their name alone. */
const MAX_KNOWN = 1_024

export interface CommandsDeps extends Omit<CommandSenderDeps, 'port'> {
  readonly port: Pick<Port, 'clock' | 'timers' | 'log' | 'random' | 'to' | 'metrics'>
  /** Serves it and tells the directory. */
  serve<P extends AnyProtocol>(protocol: P, handlers: Handlers<P>): Promise<() => Promise<void>>
  readonly limits?: CommandDeduplicationLimits
  /** Bytes of a request as it came; those of its envelope's payload unless told. */
  bytesOf?(context: Context): number
}

export const createCommands = (deps: CommandsDeps): Commands & { stop(): void } => {
  const { port, serve, choose, peerOf } = deps
  const receiving = createCommandReceiver(port, deps.limits, deps.bytesOf)
  const sending = new CommandSender({ port, choose, peerOf })
  const registered = new Set<string>()
  const byName = new Map<string, CommandProtocol>()
  const byDefinition = new WeakMap<CommandDefinition, CommandProtocol>()

  const protocolOf = (command: string | CommandDefinition): CommandProtocol => {
    const known = typeof command === 'string' ? byName.get(command) : byDefinition.get(command)
    if (known !== undefined) return known
    const made = commandProtocol(definitionOf(command))
    if (typeof command !== 'string') byDefinition.set(command, made)
    else {
      const [oldest] = byName.keys()
      if (byName.size >= MAX_KNOWN && oldest !== undefined) byName.delete(oldest)
      byName.set(command, made)
    }
    return made
  }

  const register = async (
    command: string | CommandDefinition,
    handler: CommandHandler<unknown, unknown>,
  ): Promise<Registration> => {
    const { type } = definitionOf(command)
    const protocol = protocolOf(command)
    if (registered.has(type))
      throw new ParleyError('STA003', `the command ${type} is registered already`, {
        hint: 'stop the other one first: register() returned what does',
        details: { reason: 'in-use' },
      })
    if (registered.size >= MAX_REGISTERED)
      throw new ParleyError('COM003', `${registered.size} types of commands are registered already`, {
        hint: `at most ${MAX_REGISTERED} on one node; put more into the parameters of fewer types`,
      })
    registered.add(type)
    try {
      const unserve = await serve(protocol, {
        run: (request, context) => receiving.run(type, handler, request as RunRequest, context),
        cancel: ({ command_id: commandId }, { peer }) => receiving.cancel(peer, type, commandId),
      })
      return createRegistration(() => {
        registered.delete(type)
        return unserve()
      })
    } catch (error) {
      registered.delete(type)
      throw error
    }
  }

  const send = (
    target: string | readonly string[] | { capability: string },
    command: string | CommandDefinition,
    parameters?: unknown,
    options: CommandOptions = {},
  ) => {
    const prepared = () => {
      checkKeys(options, OPTION_KEYS, 'the options of a command')
      if (options.retry !== undefined) checkKeys(options.retry, RETRY_KEYS, 'retry of a command')
      return { type: definitionOf(command).type, protocol: protocolOf(command), parameters }
    }
    if (Array.isArray(target)) return sending.list(target, prepared(), options)
    try {
      return sending.one(target as string | { capability: string }, prepared(), options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  const counts = () => {
    const { acks, nacks, executed, repeated, running, remembered, forgotten } = receiving.counts()
    return { executed, repeated, acks, nacks, ...sending.counts(), running, remembered, forgotten }
  }
  port.metrics.gauge('commands_running', 'Commands that run on this node', () => counts().running)
  port.metrics.gauge('commands_remembered', 'Commands whose outcome is remembered', () => counts().remembered)

  return {
    register: register as Commands['register'],
    send: send as Commands['send'],
    types: () => [...registered],
    counts,
    stop: receiving.stop,
  }
}
