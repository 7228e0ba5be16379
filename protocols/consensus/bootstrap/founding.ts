/**
 * The founding of a mesh over the Port: saves before it says anything, answers whoever asks, and looks for the others until
 * the mesh is founded (founding-run.ts).
 *
 * The rules and why they are safe: founding-steps.ts; durable-founding.ts keeps them. Whose turn it is: founding-plan.ts;
 * that only decides how soon a mesh is founded, never whether two are.
 */
import { ParleyError } from '../../errors.ts'
import { peerOf } from '../member-id.ts'
import type { Founding, FoundingDeps, FoundingOptions } from './api.ts'
import { foundingProtocol } from './contract.ts'
import { createDurableFounding } from './durable-founding.ts'
import { foundedMeshId, MAX_FOUNDERS, MeshIdSchema } from './founding-record.ts'
import { FoundingRun } from './founding-run.ts'
import { adoptMeshId, onProposal, propose, resume } from './founding-steps.ts'

/** @returns how many this node expects; undefined: it never founds */
const checked = ({ member, expect, joins }: FoundingOptions, self: string): number | undefined => {
  if (peerOf(member) !== self) {
    throw new ParleyError('MSG001', `${member} is not a member id of this node, ${self}`, { hint: 'use memberIdOf' })
  }
  if (expect !== undefined && !(Number.isInteger(expect) && expect >= 1 && expect <= MAX_FOUNDERS)) {
    throw new ParleyError('MSG001', `expect is ${expect}; it must be a whole number from 1 to ${MAX_FOUNDERS}`, {
      hint: 'give the number of nodes that found the mesh together; any number may join it later',
    })
  }
  return expect ?? (joins ? undefined : 1)
}

/**
 * Resolves once this node takes part; one that founds alone has founded by then.
 * @throws MSG001 for options that cannot be; what the store says where it cannot be read; STA003 `unsaved`
 */
export const startFounding = async ({ port, store }: FoundingDeps, options: FoundingOptions): Promise<Founding> => {
  const { member } = options
  const expect = checked(options, port.self.id)
  const saved = await store.load()
  const meshIdOf = (set: readonly string[]): string => foundedMeshId(port.hash, port.self.mesh, set)
  const durable = await createDurableFounding({
    store,
    log: port.log,
    first: resume({ member, expect, meshIdOf }, saved),
    saved,
    follow: (before) => run.onRecord(before.record),
  })
  const { apply } = durable
  const run = new FoundingRun(port, durable, { member, expect })

  if (expect === 1) await apply((from) => propose(from, [member], 0))

  const unserve = await port.serve(foundingProtocol, {
    async ask({ standing: said }, { peer }) {
      run.onAnnouncement(peer, said)
      return run.announcement()
    },
    async propose(proposal, { peer }) {
      const peers = proposal.set.map(peerOf)
      if (peers.includes(port.self.id) && peers.includes(peer)) return apply((from) => onProposal(from, proposal))
      throw new ParleyError('MSG001', 'the proposed set does not have both who asks and who is asked', {
        hint: 'a founding set is proposed to its members, by its members',
      })
    },
  })
  run.start()

  return {
    meshId: () => run.meshId,
    founded: () => run.record.founded,
    recovered: () => run.record.adopted?.recovered,
    status: () => run.status(),
    async adopt(id) {
      if (MeshIdSchema.safeParse(id).success) return apply((from) => adoptMeshId(from, id))
      throw new ParleyError('MSG001', `${JSON.stringify(id).slice(0, 128)} is no mesh id`, {
        hint: 'a mesh id is 32 lowercase hexadecimal digits',
      })
    },
    onMeshId: (fn) => run.onMeshId(fn),
    counts: () => {
      const { unsaved, waitedTooMany } = durable.counts()
      const { dropped, ...counts } = run.counts()
      return { ...counts, unsaved, dropped: dropped + waitedTooMany }
    },
    async stop() {
      run.stop()
      await durable.close()
      await unserve()
    },
  }
}
