/**
 * A type of command as data, and the protocol that carries it.
 *
 * Each registered type is served as a protocol of its own, `command-<type>` with `.` as `--` and `_` as `---`, so that the
 * directory lists it with its schema and finds who registered it. Wire id: `/parley/command-<type>/<major>`.
 */
import * as z from 'zod'
import { AmountsSchema } from '../budget/amounts.ts'
import { CarriedBudgetSchema } from '../budget/carried/carried-budget.ts'
import { defineProtocol } from '../define.ts'
import { ParleyError } from '../errors.ts'
import { checkKeys, keysOf } from '../unknown-keys.ts'
import { COMMAND_PREFIX } from '../wire/envelope.ts'

export interface CommandDefinition<P extends z.ZodType = z.ZodType, R extends z.ZodType = z.ZodType> {
  /** Words of a-z and 0-9 with `.`, `-` or `_` between them, the first one beginning with a letter: `task.control.pause`. */
  readonly type: string
  /** `major.minor.patch`, 1.0.0 unless told. */
  readonly version?: string
  readonly parameters: P
  /** What the handler answers; anything unless told. */
  readonly result?: R
  /** One sentence for people and for language models; it is shown in the directory. */
  readonly description?: string
  /** Capability that the sender's membership must carry; none unless told. */
  readonly capability?: string
}

const KEYS = keysOf<CommandDefinition>({
  type: true,
  version: true,
  parameters: true,
  result: true,
  description: true,
  capability: true,
})
const TYPE = /^[a-z][a-z0-9]*([._-][a-z0-9]+)*$/
const MAX_PROTOCOL_NAME = 64
/** The whole command's time, where neither side says less. */
const MAX_COMMAND_MS = 24 * 3_600_000

const Id = z.string().min(1).max(128)
/** What is left of the budget that came with it. */
const remainder = { remaining: AmountsSchema.optional() }
const Nack = z.object({
  command_id: Id,
  status: z.literal('nack'),
  /** For people. */
  reason: z.string().max(4096),
  error: z.object({
    code: z.string().max(16),
    message: z.string().max(4096),
    hint: z.string().max(4096).optional(),
    details: z.record(z.string(), z.unknown()).optional(),
  }),
  ...remainder,
})

/** The name of the protocol that carries a type. @throws MSG001 */
export const commandProtocolName = (type: string): string => {
  const name = TYPE.test(type) ? COMMAND_PREFIX + type.replace(/[._]/g, (mark) => (mark === '.' ? '--' : '---')) : ''
  if (name !== '' && name.length <= MAX_PROTOCOL_NAME) return name
  throw new ParleyError('MSG001', `command type ${JSON.stringify(type)?.slice(0, 80)} is not usable`, {
    hint: 'use words of a-z and 0-9 with . - or _ between them, as in task.control.pause, about 48 characters at most',
  })
}

/** @throws MSG001 for a type or version that cannot go on the wire */
export const commandProtocol = (definition: CommandDefinition) =>
  defineProtocol({
    name: commandProtocolName(definition.type),
    version: definition.version ?? '1.0.0',
    methods: {
      /** Runs the command once for each `command_id`, as long as the receiver remembers it. */
      run: {
        request: z.object({
          command_id: Id,
          /** Milliseconds that the sender gives it in all, from now on. */
          timeout_ms: z.int().min(1).max(MAX_COMMAND_MS),
          parameters: definition.parameters,
          /** What of a budget comes with it, once for all attempts. */
          budget: CarriedBudgetSchema.optional(),
          /** Names that, alike in all attempts: what was left of another one is not of this one. Absent: of an older sender. */
          part: z.string().min(1).max(64).optional(),
          /** An attempt before it, of which nothing was heard, brought the amounts: what that one left of them counts. */
          again: z.boolean().optional(),
        }),
        response: z.discriminatedUnion('status', [
          z.object({
            command_id: Id,
            status: z.literal('ack'),
            result: definition.result ?? z.unknown().optional(),
            /** It was run by an earlier attempt. */
            repeated: z.boolean().optional(),
            ...remainder,
          }),
          Nack,
        ]),
        priority: 'high',
        ...(definition.description === undefined ? {} : { description: definition.description }),
        ...(definition.capability === undefined ? {} : { capability: definition.capability }),
      },
      /** The sender gave it up. */
      cancel: { request: z.object({ command_id: Id }), oneWay: true, priority: 'high' },
    },
  })
export type CommandProtocol = ReturnType<typeof commandProtocol>

/** A definition with its exact type. @throws MSG001 */
export const defineCommand = <P extends z.ZodType, R extends z.ZodType = z.ZodType>(
  definition: CommandDefinition<P, R>,
): CommandDefinition<P, R> => {
  checkKeys(definition, KEYS, 'the definition of a command')
  commandProtocol(definition)
  return definition
}

/** What a type stands for where nobody defined it: any parameters, any result. */
export const definitionOf = (command: string | CommandDefinition): CommandDefinition =>
  typeof command === 'string' ? { type: command, parameters: z.unknown() } : command
