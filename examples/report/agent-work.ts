/**
 * What an agent's node does about tasks: batches of documents for each of its skills, and at the composer's the report. Keeps no
 * state.
 */
import type { Json, Mesh, WorkFunction } from '../../node/index.ts'
import { composing, REPORT_TASK, taskTypeOf } from './compose.ts'
import { Batch, keywordsProtocol, linksProtocol, outlineProtocol, summaryProtocol } from './contracts.ts'
import type { Skill } from './results.ts'
import { type AgentName, SKILLS_OF } from './settings.ts'

/** Batches of one skill that a node is given at a time: the next one is there when one is done. */
const SLOTS = 2

/** The agent in this node's thread does it: the node goes on meanwhile. */
const extracting = (mesh: Mesh, skill: Skill): WorkFunction => {
  const self = mesh.self.id
  const own = {
    outline: mesh.to(self, outlineProtocol),
    keywords: mesh.to(self, keywordsProtocol),
    summary: mesh.to(self, summaryProtocol),
    links: mesh.to(self, linksProtocol),
  }[skill]
  // What came over a channel has no undefined in it: it is JSON.
  return async ({ input }, { signal }) => (await own.extract(Batch.parse(input), { signal })) as Json
}

/** @param ready resolves once the agent in this node's thread serves */
export const startWork = async (mesh: Mesh, name: AgentName, ready: Promise<void>): Promise<void> => {
  const offer = (type: string, fn: WorkFunction, slots: number) =>
    mesh.tasks.work(type, (item, task) => ready.then(() => fn(item, task)), { slots })
  await Promise.all(SKILLS_OF[name].map((skill) => offer(taskTypeOf(skill), extracting(mesh, skill), SLOTS)))
  if (name === 'composer') await offer(REPORT_TASK, composing(mesh), 1)
}
