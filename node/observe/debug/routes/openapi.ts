/**
 * The description of the debug endpoint for programs, written from debug-operations.ts. Loaded when it is asked for.
 * Source: OpenAPI 3.1.1, whose schemas are JSON Schema draft 2020-12.
 */
import { STATUS_CODES } from 'node:http'
import * as z from 'zod'
import { type DebugOperation, type HttpMethod, OPERATIONS, SCHEMAS } from './debug-operations.ts'

type Json = Record<string, unknown>

const schemaOf = (schema: z.ZodType, io: 'input' | 'output'): Json => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return rest
}

const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` })

const parametersOf = (path: string, { query }: DebugOperation): Json[] => {
  const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const asked = Object.entries(query?.shape ?? {}).map(([name, schema]) => ({
    name,
    in: 'query',
    required: false,
    schema: schemaOf(schema as z.ZodType, 'output'),
  }))
  return [...named, ...asked]
}

const idOf = (path: string, method: HttpMethod): string =>
  [method.toLowerCase(), ...path.split(/[^A-Za-z0-9]+/).filter((word) => word !== '' && word !== 'api')].join('_')

const describe = (path: string, method: HttpMethod, operation: DebugOperation): Json => {
  const { summary, description, answer, key, statuses = [] } = operation
  const failures = [...statuses, 403, 500].sort()
  const content =
    typeof answer === 'string'
      ? { 'application/json': { schema: ref(answer) } }
      : { [answer.type]: mediaOf(answer.type) }
  const parameters = parametersOf(path, operation)
  return {
    operationId: idOf(path, method),
    summary,
    ...(description !== undefined && { description }),
    ...(parameters.length > 0 && { parameters }),
    ...(key === 'needed' && { security: [{ key: [] }] }),
    ...(key === 'shows more' && { security: [{}, { key: [] }] }),
    responses: {
      200: { description: STATUS_CODES[200], content },
      ...Object.fromEntries(
        failures.map((status) => [
          status,
          path === '/readyz' && status === 503
            ? { description: 'Not ready', content: { 'application/json': { schema: ref('Readiness') } } }
            : {
                description: STATUS_CODES[status] ?? 'Error',
                content: { 'application/problem+json': { schema: ref('Problem') } },
              },
        ]),
      ),
    },
  }
}

const mediaOf = (type: string): Json => ({
  schema: type === 'application/json' ? { type: 'object' } : { type: 'string' },
})

/** @param version of this software */
export const openApi = (version: string): Json => ({
  openapi: '3.1.1',
  info: {
    title: 'Debug endpoint of a Parley node',
    version,
    description:
      'What one node of the mesh knows. It only reads, but for dead letters, which who shows the key of node.json may send again and purge. Times are milliseconds since 1970 by the clock of the node.',
    license: { name: 'MIT', identifier: 'MIT' },
  },
  servers: [{ url: '/' }],
  paths: Object.fromEntries(
    Object.entries(OPERATIONS).map(([path, operations]) => [
      path,
      Object.fromEntries(
        (Object.entries(operations) as [HttpMethod, DebugOperation][]).map(([method, operation]) => [
          method.toLowerCase(),
          describe(path, method, operation),
        ]),
      ),
    ]),
  ),
  components: {
    schemas: Object.fromEntries(Object.entries(SCHEMAS).map(([name, schema]) => [name, schemaOf(schema, 'output')])),
    securitySchemes: {
      key: { type: 'http', scheme: 'bearer', description: 'debugKey of node.json in the data directory of the node' },
    },
  },
})
