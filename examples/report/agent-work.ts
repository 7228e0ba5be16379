/**
 * What an agent's node does about tasks: batches of documents by its craft, and at the composer's the report. Keeps no state.
 */
import type { Mesh, Registration, WorkFunction } from '../../node/index.ts'
import { composing, REPORT_TASK, taskTypeOf } from './compose.ts'
import { Batch, contentProtocol, structureProtocol } from './contracts.ts'
import type { Craft } from './results.ts'
import { type AgentName, CRAFT_OF } from './settings.ts'

/** Batches that a node is given at a time: the next one is there when one is done. */
const SLOTS = 2

/** The agent in this node's thread does it: the node goes on meanwhile. */
const extracting = (mesh: Mesh, craft: Craft): WorkFunction => {
  const own = mesh.to(mesh.self.id, craft === 'structure' ? structureProtocol : contentProtocol)
  return async ({ input }, { signal }) => (await own.extract(Batch.parse(input), { signal })).packed
}

/** @param ready resolves once the agent in this node's thread serves */
export const startWork = (mesh: Mesh, name: AgentName, ready: Promise<void>): Promise<Registration> => {
  const offer = (type: string, fn: WorkFunction, slots: number) =>
    mesh.tasks.work(type, (item, task) => ready.then(() => fn(item, task)), { slots })
  if (name === 'composer') return offer(REPORT_TASK, composing(mesh), 1)
  return offer(taskTypeOf(CRAFT_OF[name]), extracting(mesh, CRAFT_OF[name]), SLOTS)
}
