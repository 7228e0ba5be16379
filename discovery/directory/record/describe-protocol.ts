/**
 * How a contract is told in the record of an agent that offers it: names, bounds and JSON Schemas. Pure.
 */
import * as z from 'zod'
import { type AnyProtocol, kindOf, type Method } from '../../../protocols/define.ts'
import { MAX_DESCRIPTION, type MethodRecord, type ProtocolRecord } from './agent-record.ts'

const JsonSchema = z.record(z.string(), z.unknown())

/** The round trip through text makes sure that what is described can travel (a default may be a bigint). */
const toJsonSchema = (schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> | undefined => {
  try {
    const { $schema: _, ...rest } = z.toJSONSchema(schema, { unrepresentable: 'any', io })
    return JsonSchema.parse(JSON.parse(JSON.stringify(rest)))
  } catch {
    return undefined
  }
}

const tidy = (text: string): string => text.replace(/\p{Cc}+/gu, ' ').slice(0, MAX_DESCRIPTION)

const describeMethod = (name: string, method: Method): MethodRecord => {
  const request = toJsonSchema(method.request, 'input')
  const reply = 'stream' in method ? method.stream : 'response' in method ? method.response : undefined
  const response = reply && toJsonSchema(reply, 'output')
  return {
    name,
    kind: kindOf(method),
    ...(method.capability === undefined ? {} : { capability: method.capability }),
    ...(method.idempotent === undefined ? {} : { idempotent: method.idempotent }),
    ...(method.timeoutMs === undefined ? {} : { timeoutMs: method.timeoutMs }),
    ...(method.content === undefined || method.content === 'json' ? {} : { content: method.content }),
    ...(method.description === undefined ? {} : { description: tidy(method.description) }),
    ...(request === undefined ? {} : { request }),
    ...(response === undefined ? {} : { response }),
  }
}

/**
 * A contract as the record tells it. What JSON Schema cannot express is described as anything; a schema that cannot be
 * written at all is left out.
 */
export const describe = (protocol: AnyProtocol): ProtocolRecord => ({
  name: protocol.name,
  version: protocol.version,
  methods: Object.entries(protocol.methods).map(([name, method]) => describeMethod(name, method)),
})
