/** Nodes that run on this machine, found by their data directories. */
import { basename, dirname, resolve } from 'node:path'
import { ParleyError } from '../../../protocols/errors.ts'
import { nearestName } from '../../../protocols/unknown-keys.ts'
import { type FoundNode, readNodes } from '../../store/data-directory.ts'
import { usageError } from '../output/exit-codes.ts'

/** Where `parley up` keeps the data of its nodes, each in a folder of its own. */
export const DATA_ROOT = '.parley'

export interface NodeSelector {
  url?: string
  node?: string
  dataDir?: string
}

const BY_URL = '--url, --node or --data-dir'
/** How to name a node, for commands that need its control socket. */
export const BY_SOCKET = '--node or --data-dir'

const START = 'start one with: parley up'

const none = (message: string, hint: string): ParleyError => new ParleyError('COM002', message, { hint })

export const runningNodes = async (): Promise<FoundNode[]> => (await readNodes(DATA_ROOT)).filter(({ alive }) => alive)

const otherHint = (node: string, running: readonly FoundNode[]): string => {
  const names = running.map(({ name }) => name)
  const guess = nearestName(node, names)
  if (guess !== undefined) return `did you mean ${guess}?`
  return names.length === 0 ? START : `running are ${names.join(', ')}`
}

/**
 * The node in this data directory, or with this name under .parley.
 * @param ways how one is named, for people
 * @param choose what to do where several run, given one of them
 * @throws COM002 where it does not run, MSG001 where several run and none is named
 */
export const runningNode = async (
  { node, dataDir }: NodeSelector,
  ways = BY_URL,
  choose = (name: string) => `choose one, as in --node ${name}`,
): Promise<FoundNode> => {
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
      ? none(`no node of ${resolve(DATA_ROOT)} is running`, `${START}; or name one with ${ways}`)
      : none(`no node called ${node} is running here`, otherHint(node, running))
  }
  if (others.length > 0) {
    throw usageError(`${others.length + 1} nodes are running here: ${names}`, choose(first.name))
  }
  return first
}

/** @throws MSG001 */
export const originOf = (text: string): string => {
  const url = URL.parse(text)
  if (url !== null && /^https?:$/.test(url.protocol)) return url.origin
  throw usageError(`${JSON.stringify(text)} is no URL`, 'write it as in http://127.0.0.1:8090')
}
