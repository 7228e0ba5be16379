/**
 * Requests to a running node: by its control socket, or by its debug endpoint where it was named by its URL or has no
 * socket, with the key from its data directory where that can be read.
 */
import * as z from 'zod'
import { CODES, type Code, ParleyError } from '../../../protocols/errors.ts'
import { type ControlClient, createControlClient } from '../../control/control-client.ts'
import { SelfSchema } from '../../observe/debug/debug-schemas.ts'
import type { FoundNode } from '../../store/data-directory.ts'
import { BY_SOCKET, type NodeSelector, originOf, runningNode, runningNodes } from './running-nodes.ts'

interface Endpoint {
  readonly url: string
  /** Undefined where the data directory is not known, or has none. */
  readonly key: string | undefined
}

export type NodeEndpoint = { readonly control: ControlClient } | Endpoint

const LIMIT_MS = 60_000
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

const Problem = z.object({ status: z.number(), detail: z.string(), hint: z.string(), code: z.string().optional() })

/** The control socket of a running node; undefined where it has none. */
export const controlClientOf = ({ name, control }: FoundNode): ControlClient | undefined =>
  control === undefined ? undefined : createControlClient(name, control)

export interface ControlledNode {
  readonly node: FoundNode
  readonly control: ControlClient
}

/** @throws COM002 where no such node runs here, or it has no control socket */
export const findControlledNode = async (which: Omit<NodeSelector, 'url'>): Promise<ControlledNode> => {
  const node = await runningNode(which, BY_SOCKET)
  const control = controlClientOf(node)
  if (control !== undefined) return { node, control }
  throw new ParleyError('COM002', `the node ${node.name} has no control socket`, {
    hint: 'a program that embeds a node switches it on by the option control; see the log for why there is none',
  })
}

/** @throws COM002 where no such node runs here, or it listens nowhere */
export const findNodeEndpoint = async (which: NodeSelector): Promise<NodeEndpoint> => {
  if (which.url !== undefined) {
    const url = originOf(which.url)
    const found = (await runningNodes()).find(({ debugUrl }) => debugUrl === url)
    return { url, key: found?.debugKey }
  }
  const node = await runningNode(which)
  const control = controlClientOf(node)
  if (control !== undefined) return { control }
  if (node.debugUrl !== undefined) return { url: node.debugUrl, key: node.debugKey }
  throw new ParleyError('COM002', `${node.name} has neither a control socket nor a debug endpoint`, {
    hint: 'switch one of them on by the options control and debug',
  })
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

const requestByUrl = async <S extends z.ZodType>(
  { url, key }: Endpoint,
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

/**
 * @param path with its query
 * @throws what the node answers, COM002 where it does not, SEC002 where it wants the key, MSG003 where something else answers
 */
export const requestNode = async <S extends z.ZodType>(
  endpoint: NodeEndpoint,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  schema: S,
): Promise<z.output<S>> =>
  'control' in endpoint
    ? endpoint.control.ask(method, path, schema, { timeoutMs: LIMIT_MS })
    : requestByUrl(endpoint, method, path, schema)

/** Name of the mesh that a running node is in; undefined where it listens nowhere. */
export const meshNameOf = async (node: FoundNode): Promise<string | undefined> => {
  const { debugUrl } = node
  const control = controlClientOf(node)
  const endpoint =
    control !== undefined ? { control } : debugUrl !== undefined ? { url: debugUrl, key: undefined } : undefined
  return endpoint === undefined ? undefined : (await requestNode(endpoint, 'GET', '/api/self', SelfSchema)).mesh
}
