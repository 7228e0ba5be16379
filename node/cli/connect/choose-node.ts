/**
 * Which of several running nodes does something that any of them may do: the first one that knows whom it is about, or, for
 * what is the same at each node of a mesh, any where all of them are of one.
 */
import * as z from 'zod'
import { ParleyError } from '../../../protocols/errors.ts'
import { nearestName } from '../../../protocols/unknown-keys.ts'
import { AgentSchema } from '../../observe/debug/debug-schemas.ts'
import type { FoundNode } from '../../store/data-directory.ts'
import { controlClientOf, meshNameOf, type NodeEndpoint, requestNode } from './node-endpoint.ts'
import { type NodeSelector, runningNodes } from './running-nodes.ts'

const Agents = z.object({ agents: z.array(AgentSchema) })
export type KnownAgents = z.output<typeof Agents>['agents']

const LOOK_MS = 3_000

/** @returns whom it knows; undefined where it cannot be asked, or is of another mesh */
const agentsOf = async (node: FoundNode, mesh: string | undefined): Promise<KnownAgents | undefined> => {
  try {
    if (mesh !== undefined && (await meshNameOf(node)) !== mesh) return undefined
    return (await controlClientOf(node)?.ask('GET', '/api/agents', Agents, { timeoutMs: LOOK_MS }))?.agents
  } catch {
    // It stops, or hangs: another one may do it.
    return undefined
  }
}

/**
 * @param named somebody said which one
 * @returns where several run: one that knows whom it is about, else the first one that can be asked, which says who is not
 *   known; undefined where there is nothing to choose
 */
export const nodeThatKnows = async (
  named: { node?: string; dataDir?: string; mesh?: string },
  isMeant: (agents: KnownAgents) => boolean,
): Promise<{ dataDir: string } | undefined> => {
  if (named.node !== undefined || named.dataDir !== undefined) return undefined
  const nodes = await runningNodes()
  if (nodes.length < 2) return undefined
  let first: { dataDir: string } | undefined
  for (const node of nodes) {
    const agents = await agentsOf(node, named.mesh)
    if (agents === undefined) continue
    if (isMeant(agents)) return { dataDir: node.directory }
    first ??= { dataDir: node.directory }
  }
  return first
}

/**
 * @returns where several run and none is named: one that knows all the others, if there is one; else what was given, so that
 *   the error says to name one
 */
export const nodeOfOneMesh = async <W extends NodeSelector>(
  named: W,
): Promise<W | { dataDir: string; name: string }> => {
  if (named.url !== undefined || named.node !== undefined || named.dataDir !== undefined) return named
  const nodes = await runningNodes()
  if (nodes.length < 2) return named
  for (const node of nodes) {
    const known = new Set((await agentsOf(node, undefined))?.map(({ id }) => id))
    if (nodes.every(({ peerId }) => known.has(peerId))) return { dataDir: node.directory, name: node.name }
  }
  return named
}

const PEER_ID = /^[A-Za-z0-9]{40,128}$/
const MAX_NAMES = 20

/** @param nameOrId of an agent; an id may be of one that is away @throws STA001 where nobody is called so */
export const peerIdOf = async (node: NodeEndpoint, nameOrId: string): Promise<string> => {
  if (PEER_ID.test(nameOrId)) return nameOrId
  const { agents } = await requestNode(node, 'GET', '/api/agents', Agents)
  const found = agents.find(({ name }) => name === nameOrId)
  if (found !== undefined) return found.id
  const names = agents.map(({ name }) => name)
  const guess = nearestName(nameOrId, names)
  throw new ParleyError('STA001', `no agent is called ${JSON.stringify(nameOrId)}`, {
    hint: guess === undefined ? `there is ${names.slice(0, MAX_NAMES).join(', ')}` : `did you mean ${guess}?`,
  })
}

/** Somebody offers this method, and where a name or id is given it is that agent. */
export const offersCall =
  (target: { protocol: string; method: string }, to: string | undefined) =>
  (agents: KnownAgents): boolean =>
    agents.some(
      ({ id, name, protocols }) =>
        (to === undefined || to === id || to === name) &&
        protocols.some(
          (one) => one.name === target.protocol && one.methods.some((method) => method.name === target.method),
        ),
    )
