/**
 * Nodes that run on this machine, found by their data directories, and what their debug endpoints say. Keeps no state.
 */
import { basename, dirname, resolve } from 'node:path'
import type * as z from 'zod'
import { ParleyError } from '../../protocols/errors.ts'
import { type FoundNode, readNodes } from '../data-directory.ts'
import { SelfSchema } from '../debug/source.ts'
import { usage } from './outcome.ts'

/** Where `parley up` keeps the data of its nodes, each in a folder of its own. */
export const DATA_ROOT = '.parley'
const ASK_TIMEOUT_MS = 5_000
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

export interface Which {
  url?: string
  node?: string
  dataDir?: string
}

const START = 'start one with: parley up'

const none = (message: string, hint: string): ParleyError => new ParleyError('COM002', message, { hint })

export const runningNodes = async (): Promise<FoundNode[]> => (await readNodes(DATA_ROOT)).filter(({ alive }) => alive)

/** The node in this data directory, or with this name under .parley. */
export const runningNode = async ({ node, dataDir }: Which): Promise<FoundNode> => {
  if (dataDir !== undefined) {
    const path = resolve(dataDir)
    const found = (await readNodes(dirname(path))).find(({ directory }) => basename(directory) === basename(path))
    if (found?.alive === true) return found
    throw none(`no node runs with the data directory ${dataDir}`, START)
  }
  const running = await runningNodes()
  const names = running.map(({ name }) => name).join(', ')
  const [first, ...others] = node === undefined ? running : running.filter(({ name }) => name === node)
  if (first === undefined) {
    throw node === undefined
      ? none(`no node of ${resolve(DATA_ROOT)} is running`, `${START}; or name one with --url, --node or --data-dir`)
      : none(`no node called ${node} is running here`, running.length === 0 ? START : `running are ${names}`)
  }
  if (others.length > 0) {
    throw usage(`${others.length + 1} nodes are running here: ${names}`, `choose one, as in --node ${first.name}`)
  }
  return first
}

/** The debug endpoint of the node that was meant. */
export const debugUrlOf = async (which: Which): Promise<string> => {
  if (which.url !== undefined) {
    const url = URL.parse(which.url)
    if (url === null || !/^https?:$/.test(url.protocol)) {
      throw usage(`${JSON.stringify(which.url)} is no URL`, 'write it as in http://127.0.0.1:8090')
    }
    return url.origin
  }
  const { name, debugUrl } = await runningNode(which)
  if (debugUrl !== undefined) return debugUrl
  throw none(`${name} runs without a debug endpoint`, 'start it without --no-debug')
}

/**
 * Asks a debug endpoint.
 * @throws COM002 where it does not answer, MSG003 where something else answers there
 */
export const ask = async <S extends z.ZodType>(url: string, path: string, schema: S): Promise<z.output<S>> => {
  let text: string
  try {
    const response = await fetch(url + path, { signal: AbortSignal.timeout(ASK_TIMEOUT_MS) })
    text = await response.text()
    if (!response.ok) throw new Error(`it answered with status ${response.status}`)
    if (text.length > MAX_ANSWER_BYTES) throw new Error(`it answered with ${text.length} characters`)
  } catch (cause) {
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
    throw new ParleyError(
      'COM002',
      `${url}${path} cannot be read: ${reason instanceof Error ? reason.message : reason}`,
      {
        hint: 'see whether the node is up: parley up prints the address of its debug endpoint',
        cause,
      },
    )
  }
  const parsed = schema.safeParse(parse(text))
  if (parsed.success) return parsed.data
  throw new ParleyError('MSG003', `${url} is not the debug endpoint of a parley node`, {
    hint: 'parley up prints the address of its debug endpoint',
  })
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Name of the mesh that a running node is in; undefined where it has no debug endpoint. */
export const meshOf = async ({ debugUrl }: FoundNode): Promise<string | undefined> =>
  debugUrl === undefined ? undefined : (await ask(debugUrl, '/api/self', SelfSchema)).mesh
