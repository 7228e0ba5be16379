/** An agent module, loaded and checked; runs in the worker thread. */
import { execFile } from 'node:child_process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { AgentDefinition, AgentPort, Offer } from '../define-agent.ts'

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

const PARSE_MS = 5_000

const pathOf = (place: string): string => (place.startsWith('file:') ? fileURLToPath(place) : place)

const HEAD = /^((?:file:\/\/)?\/[^\n]*?|[A-Za-z]:[\\/][^\n]*?):(\d+)[ \t]*$/m
const FRAME = /^ +at .*?\(?(file:\/\/[^\n)]+?):(\d+):\d+\)?$/gm

/** `path:line` of what cannot be parsed or linked: Node writes it above the message. */
const unreadable = (text: string): string | undefined => {
  const [, place, line] = HEAD.exec(text) ?? []
  return place === undefined ? undefined : `${pathOf(place)}:${line}`
}

/** `path:line` of the code that threw; this file's own frames are below all others. */
const thrower = (stack: string): string | undefined => {
  const [[, place = '', line] = []] = stack.matchAll(FRAME)
  return place === '' || place === import.meta.url ? undefined : `${pathOf(place)}:${line}`
}

/** The error of an import of JavaScript has no place, and what Node prints has. It runs nothing of what it cannot parse. */
const printed = (file: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    const program = `import(${JSON.stringify(pathToFileURL(file).href)})`
    execFile(process.execPath, ['-e', program], { timeout: PARSE_MS }, (_error, _stdout, stderr) =>
      resolve(unreadable(stderr)),
    )
  })

/** What is wrong with a module that was not loaded, and where. */
export const whyNotLoaded = async (file: string, cause: unknown): Promise<string> => {
  if (!(cause instanceof Error)) return String(cause)
  const { name, message, stack = '' } = cause
  const place = cause instanceof SyntaxError ? (unreadable(stack) ?? (await printed(file))) : thrower(stack)
  return `${name}: ${message.split('\n', 1)[0]}${place === undefined ? '' : ` (${place})`}`
}

/**
 * @throws MSG001 for a module that cannot be loaded or exports no agent; what the module's own factory throws
 */
export const loadAgent = async (file: string, agent: AgentPort): Promise<AgentDefinition> => {
  let loaded: Record<string, unknown>
  try {
    loaded = await import(pathToFileURL(file).href)
  } catch (cause) {
    throw new ParleyError('MSG001', `the agent module ${file} cannot be loaded: ${await whyNotLoaded(file, cause)}`, {
      hint:
        isParleyError(cause) && cause.hint !== undefined
          ? cause.hint
          : 'mend the module and start it again; node by itself tells more of where',
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
