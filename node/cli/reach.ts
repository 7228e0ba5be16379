/**
 * A running node, asked and told by its debug endpoint, with the key from its data directory where that can be read. Keeps
 * no state.
 */
import * as z from 'zod'
import { CODES, type Code, ParleyError } from '../../protocols/errors.ts'
import type { FoundNode } from '../data-directory.ts'
import { debugUrlOf, runningNode, runningNodes, type Which } from './running.ts'

export interface Reached {
  readonly url: string
  /** Undefined where the data directory is not known, or has none. */
  readonly key: string | undefined
}

const LIMIT_MS = 60_000
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

const Problem = z.object({ status: z.number(), detail: z.string(), hint: z.string(), code: z.string().optional() })

/** @throws COM002 where no such node runs here */
export const reach = async (which: Which): Promise<Reached> => {
  const url = await debugUrlOf(which)
  let node: FoundNode | undefined
  if (which.url === undefined) node = await runningNode(which)
  else node = (await runningNodes()).find(({ debugUrl }) => debugUrl === url)
  return { url, key: node?.debugKey }
}

const isCode = (code: string | undefined): code is Code => code !== undefined && Object.hasOwn(CODES, code)

const refused = (url: string): ParleyError =>
  new ParleyError('SEC002', `the node at ${url} wants to see its key`, {
    hint: 'name the node by --node or --data-dir: the key is in its data directory, and a node without one has none',
  })

const unreachable = (url: string, cause: unknown): ParleyError => {
  const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  return new ParleyError('COM002', `${url} cannot be reached: ${reason instanceof Error ? reason.message : reason}`, {
    hint: 'see whether the node is up: parley up prints the address of its debug endpoint',
    cause,
  })
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * @param path with its query
 * @throws what the node answers, COM002 where it does not, SEC002 where it wants the key, MSG003 where something else answers
 */
export const request = async <S extends z.ZodType>(
  { url, key }: Reached,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  schema: S,
): Promise<z.output<S>> => {
  let status: number
  let text: string
  try {
    const response = await fetch(url + path, {
      method,
      signal: AbortSignal.timeout(LIMIT_MS),
      ...(key !== undefined && { headers: { authorization: `Bearer ${key}` } }),
    })
    status = response.status
    text = await response.text()
    if (text.length > MAX_ANSWER_BYTES) throw new Error(`it answered with ${text.length} characters`)
  } catch (cause) {
    throw unreachable(url, cause)
  }
  if (status === 401) throw refused(url)
  const problem = status >= 400 ? Problem.safeParse(parse(text)).data : undefined
  if (problem !== undefined) {
    const { code, detail, hint } = problem
    throw new ParleyError(isCode(code) ? code : status === 400 ? 'MSG001' : 'APP001', detail, { hint, remote: true })
  }
  const parsed = schema.safeParse(parse(text))
  if (parsed.success && status < 400) return parsed.data
  throw new ParleyError('MSG003', `${url} is not the debug endpoint of a parley node, or of another version`, {
    hint: 'parley up prints the address of its debug endpoint',
  })
}
