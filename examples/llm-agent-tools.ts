/**
 * Other agents of the mesh as tools of a language model: what they offer is in the directory, with JSON Schemas, and what
 * the model wants called becomes a call of the mesh. Keeps no state.
 */
import { z } from 'zod'
import { defineProtocol, isParleyError, type Mesh } from '../node/index.ts'
import type { ToolCall, ToolDefinition } from './llm-agent-chat.ts'

/** Characters of an answer that the model gets to see. */
const MAX_RESULT_CHARS = 16_384
const MAX_TOOLS = 64

interface Tool {
  readonly definition: ToolDefinition
  call(input: unknown, options: { signal: AbortSignal; timeoutMs: number }): Promise<unknown>
}

/**
 * The methods with one answer of these protocols, by the name that the model knows them by: `protocol-method`.
 * @param allowed names of protocols; whatever else the mesh offers is out of the model's reach
 */
export const toolsOf = (mesh: Mesh, allowed: readonly string[]): Map<string, Tool> => {
  const tools = new Map<string, Tool>()
  for (const { record, self } of mesh.directory.agents()) {
    for (const protocol of self ? [] : record.protocols) {
      if (!allowed.includes(protocol.name)) continue
      for (const method of protocol.methods) {
        const name = `${protocol.name}-${method.name}`
        const isTool = method.kind === 'unary' && method.content === undefined && /^[\w-]{1,64}$/.test(name)
        if (!isTool || tools.has(name) || tools.size === MAX_TOOLS) continue
        // The agent that is called checks what comes; here its contract is known only as JSON Schema.
        const contract = defineProtocol({
          name: protocol.name,
          version: protocol.version,
          methods: {
            [method.name]: {
              request: z.unknown(),
              response: z.unknown(),
              ...(method.idempotent !== undefined && { idempotent: method.idempotent }),
            },
          },
        })
        tools.set(name, {
          definition: {
            type: 'function',
            function: {
              name,
              description: method.description ?? `${method.name} of ${protocol.name}`,
              parameters: method.request ?? { type: 'object' },
            },
          },
          call: async (input, options) => mesh.any(contract)[method.name]?.(input, options),
        })
      }
    }
  }
  return tools
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text === '' ? '{}' : text)
  } catch {
    return undefined
  }
}

/** What a tool answered, as a text for the model. Its failures are for the model too: it may correct itself. */
export const runTool = async (
  tools: ReadonlyMap<string, Tool>,
  { name, arguments: text }: ToolCall,
  options: { signal: AbortSignal; timeoutMs: number },
): Promise<{ ok: boolean; content: string }> => {
  const tool = tools.get(name)
  const input = parse(text)
  if (tool === undefined) return { ok: false, content: `error: there is no tool ${name}` }
  if (input === undefined) return { ok: false, content: 'error: the arguments are no JSON' }
  try {
    return { ok: true, content: JSON.stringify(await tool.call(input, options)).slice(0, MAX_RESULT_CHARS) }
  } catch (error) {
    options.signal.throwIfAborted()
    if (!isParleyError(error)) throw error
    return { ok: false, content: `error: ${error.message}. ${error.hint ?? ''}`.slice(0, MAX_RESULT_CHARS) }
  }
}
