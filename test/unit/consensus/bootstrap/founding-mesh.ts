/**
 * Nodes that found a mesh over whole Ports in virtual time, each with its founding file on a disk that can fail.
 *
 * State: the network, and for each name its disk and the id of its log store, which outlive its node.
 */
import { createFoundingFile } from '../../../../node/store/journal/founding-file.ts'
import { createFaultyDisk, type FaultyDisk } from '../../../../node/testing/virtual/faulty-disk.ts'
import {
  createPortNetwork,
  type NetworkNode,
  type NetworkOptions,
} from '../../../../node/testing/virtual/port-network.ts'
import type { Founding } from '../../../../protocols/consensus/bootstrap/api.ts'
import { startFounding } from '../../../../protocols/consensus/bootstrap/founding.ts'
import type { FoundingRecord } from '../../../../protocols/consensus/bootstrap/founding-record.ts'
import { memberIdOf } from '../../../../protocols/consensus/member-id.ts'

export interface FoundingNode {
  readonly name: string
  readonly member: string
  readonly node: NetworkNode
  readonly disk: FaultyDisk
  readonly founding: Founding
  /** Mesh ids that it told of since it started. */
  readonly told: string[]
}

export interface StartOptions {
  readonly expect?: number
  readonly joins?: boolean
  /** Hexadecimal, of a log store that is another one than before. */
  readonly storageId?: string
  /** Connected to nobody at first. */
  readonly isApart?: boolean
  /** Called once a record is durable, before anything is said of it. */
  readonly onSaved?: (record: FoundingRecord) => void
}

export const createFoundingMesh = (options: NetworkOptions = {}) => {
  const network = createPortNetwork(options)
  const nodes = new Map<string, FoundingNode>()
  const disks = new Map<string, FaultyDisk>()
  const storageIds = new Map<string, string>()
  /** All that run, those without a founding too. */
  const running = new Map<string, NetworkNode>()

  const open = (name: string, isApart = false): NetworkNode => {
    const node = network.start(name)
    if (!isApart) for (const other of running.values()) network.connect(node, other)
    running.set(name, node)
    return node
  }

  /** Also again, after `kill`, with the disk that it had. */
  const start = async (name: string, given: StartOptions = {}): Promise<FoundingNode> => {
    const disk = disks.get(name) ?? createFaultyDisk()
    disks.set(name, disk)
    const storageId = given.storageId ?? storageIds.get(name) ?? Buffer.from(name).toString('hex').padStart(4, '0')
    storageIds.set(name, storageId)
    const node = open(name, given.isApart)
    const member = memberIdOf(node.id, storageId)
    const file = createFoundingFile(disk.mount())
    const store = {
      load: file.load,
      async save(record: FoundingRecord) {
        await file.save(record)
        given.onSaved?.(record)
      },
    }
    const { expect, joins = true } = given
    const founding = await startFounding({ port: node.port, store }, { member, expect, joins })
    const told: string[] = []
    founding.onMeshId((id) => told.push(id))
    const started: FoundingNode = { name, member, node, disk, founding, told }
    nodes.set(name, started)
    return started
  }

  const up = (): FoundingNode[] => [...nodes.values()]
  return {
    ...network,
    start,
    /** A node without a founding: what it says is said by hand. */
    startBare: open,
    up,
    /** As SIGKILL does; `power`: what was not synced may be lost. */
    kill(name: string, power = true): void {
      running.get(name)?.kill()
      running.delete(name)
      nodes.delete(name)
      const disk = disks.get(name)
      if (power) disk?.crash(network.random)
      else disk?.release()
    },
    connectAll(): void {
      for (const a of running.values()) for (const b of running.values()) if (a.id < b.id) network.connect(a, b)
    },
    /** All that are up belong to one mesh. */
    isOne: (): boolean => {
      const ids = new Set(up().map(({ founding }) => founding.meshId()))
      return ids.size === 1 && !ids.has(undefined)
    },
    founders: (): string[] =>
      up()
        .filter(({ founding }) => founding.founded() !== undefined)
        .map(({ member }) => member)
        .toSorted(),
  }
}
