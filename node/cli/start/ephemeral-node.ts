/** A command that joins the mesh for a moment: where it comes in, and with which secret. */
import { randomBytes } from 'node:crypto'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { Mesh } from '../../api.ts'
import { createMesh } from '../../mesh.ts'
import { loadConfig } from '../../options/config/load-config.ts'
import type { MeshOptionsInput } from '../../options/schema.ts'
import { meshNameOf } from '../connect/node-endpoint.ts'
import { runningNode, runningNodes } from '../connect/running-nodes.ts'
import { entriesOfFlags } from './up-configuration.ts'

export interface EphemeralNodeOptions {
  /** File with the configuration, of which the mesh, its secret and its members count. */
  config?: string
  join?: string[]
  node?: string
  dataDir?: string
  mesh?: string
  secretFile?: string[]
  allowWeakSecret?: boolean
}

/** Milliseconds to find a member that lets this node in. */
const JOIN_TIMEOUT_MS = 10_000

/** Where to join: what a flag says, the node that was named, the nodes that run here, or what the configuration says. */
const entryOf = async (
  options: EphemeralNodeOptions,
  { join: configured = [], mesh }: MeshOptionsInput,
): Promise<{ join: string[]; mesh: string | undefined }> => {
  if (options.join !== undefined) return { join: options.join, mesh }
  const isNamed = options.node !== undefined || options.dataDir !== undefined
  const nodes = isNamed ? [await runningNode(options)] : await runningNodes()
  const [first] = nodes
  if (first === undefined) {
    if (configured.length > 0) return { join: [configured].flat(), mesh }
    throw new ParleyError('COM002', 'no node is running here to join the mesh by', {
      hint: 'start one with `parley up`, or name a member with --join and its address',
    })
  }
  // Nodes of other meshes refuse this one; one that lets it in is enough.
  const join = nodes.flatMap(({ addresses }) => addresses)
  return { join, mesh: options.mesh ?? (await meshNameOf(first)) ?? mesh }
}

/**
 * A node of its own, which listens nowhere and keeps nothing, unless told otherwise.
 * @param own what differs from that
 * @throws COM002, SEC001 where no member lets it in
 */
export const startEphemeralNode = async (options: EphemeralNodeOptions, own: MeshOptionsInput = {}): Promise<Mesh> => {
  const { input } = await loadConfig({ config: options.config, flags: entriesOfFlags(options) })
  const { secret, allowWeakSecret } = input
  const { join, mesh } = await entryOf(options, input)
  const node = await createMesh({
    name: `visit-${randomBytes(3).toString('hex')}`,
    listen: [],
    join,
    log: 'silent',
    ...(mesh === undefined ? {} : { mesh }),
    ...(secret === undefined ? {} : { secret }),
    ...(allowWeakSecret === undefined ? {} : { allowWeakSecret }),
    ...own,
  })
  const tooLong = new ParleyError(
    'COM002',
    `no member answered within ${JOIN_TIMEOUT_MS / 1000} s at ${join.join(', ')}`,
    {
      hint: 'see whether a node is up at that address; `parley up` prints the addresses to join',
    },
  )
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(tooLong), JOIN_TIMEOUT_MS)
  try {
    await node.joined({ signal: limit.signal })
    return node
  } catch (error) {
    await node.stop()
    if (secret !== undefined || !isParleyError(error, 'SEC001')) throw error
    throw new ParleyError('SEC001', error.message, {
      hint: "name the file with the mesh's secret with --secret-file, by PARLEY_SECRET_FILE, or in parley.yaml",
      cause: error,
    })
  } finally {
    clearTimeout(timer)
  }
}
