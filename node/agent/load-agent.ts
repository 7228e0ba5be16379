/** An agent module, loaded and looked at. Keeps no state; runs in the worker thread. */
import { pathToFileURL } from 'node:url'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import type { AgentDefinition, AgentPort, Offer } from './define.ts'

const SHAPE = 'write: export default defineAgent({ offers: [offer(protocol, handlers)] })'

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** What offer() makes; by its shape, since the module may have loaded another copy of this package. */
const isOffer = (value: unknown): value is Offer =>
  isRecord(value) &&
  isRecord(value.protocol) &&
  isRecord(value.served) &&
  typeof value.served.name === 'string' &&
  typeof value.served.version === 'string' &&
  value.served.methods instanceof Map

const isHook = (value: unknown): boolean => value === undefined || typeof value === 'function'

const whatIsWrong = (value: unknown): string | undefined => {
  if (!isRecord(value)) return `its default export is ${value === null ? 'null' : typeof value}, not an agent`
  if (!Array.isArray(value.offers)) return 'its agent has no array of offers'
  const at = value.offers.findIndex((one) => !isOffer(one))
  if (at >= 0) return `offers[${at}] of its agent was not made by offer()`
  const hook = ['start', 'stop'].find((name) => !isHook(value[name]))
  return hook === undefined ? undefined : `${hook} of its agent is no function`
}

const isDefinition = (value: unknown): value is AgentDefinition => whatIsWrong(value) === undefined

/**
 * @throws MSG001 for a module that cannot be loaded or exports no agent; what the module's own factory throws
 */
export const loadAgent = async (file: string, agent: AgentPort): Promise<AgentDefinition> => {
  let loaded: Record<string, unknown>
  try {
    loaded = await import(pathToFileURL(file).href)
  } catch (cause) {
    const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
    throw new ParleyError('MSG001', `the agent module ${file} cannot be loaded: ${reason}`, {
      hint: isParleyError(cause) && cause.hint !== undefined ? cause.hint : 'run it by itself with node to see where',
      cause,
    })
  }
  if (!('default' in loaded)) {
    throw new ParleyError('MSG001', `the agent module ${file} has no default export`, { hint: SHAPE })
  }
  const made: unknown = typeof loaded.default === 'function' ? await loaded.default(agent) : loaded.default
  if (isDefinition(made)) return made
  throw new ParleyError('MSG001', `the agent module ${file} cannot be used: ${whatIsWrong(made)}`, { hint: SHAPE })
}
