/** Deliberate bugs of the driver, of its store and of what it runs, found over Ports and disks that fail. */
import type { Mutant } from './mutant.ts'

const DRIVER = 'protocols/consensus'
const STORE = 'node/store'
const SIM = 'test/sim/port'

const FOUND_BY_PORTS: readonly Mutant[] = [
  {
    bug: 'messages leave before what they rest on is on the disk',
    file: `${DRIVER}/group/raft-driver.ts`,
    find: '    if (hardState !== undefined || snapshot !== undefined || entries.length > 0) {\n',
    replace:
      '    for (const { to, message } of leaving) this.#send(to, message)\n    if (hardState !== undefined || snapshot !== undefined || entries.length > 0) {\n',
  },
  {
    bug: 'what leaves early is more than appends',
    file: `${DRIVER}/group/output-batching.ts`,
    find: "return message.type === 'append' && ",
    replace: "return message.type !== 'append' || ",
  },
  {
    bug: 'a leader counts what it sends before it is on its disk',
    file: `${DRIVER}/group/raft-driver.ts`,
    find: '      if (!(await this.#persist({ hardState, base, entries }))) return\n',
    replace: '      void this.#persist({ hardState, base, entries }).catch(() => {})\n',
  },
  {
    bug: 'the store says that it is durable without a sync',
    file: `${STORE}/log/log-tail.ts`,
    find: '  try {\n    await tail.file.sync()\n  } catch (error) {',
    replace: '  try {\n  } catch (error) {',
  },
  {
    bug: 'the store goes on after a sync that failed',
    file: `${STORE}/log/log-tail.ts`,
    find: "    throw storeError('broken', 'the disk did not say what it has of the log', 'open it again', error)\n",
    replace: '',
  },
  {
    bug: 'what a torn write left is not cut off',
    file: `${STORE}/log/append-log.ts`,
    find: '    await tail.file.truncate(end)\n    tail.size = end\n',
    replace: '    tail.end += found.torn\n    tail.size = tail.end\n',
  },
  {
    bug: 'segments are removed that a restart needs',
    file: `${STORE}/log/append-log.ts`,
    find: '({ reach }, i) => reach > upTo ||',
    replace: '({ reach }, i) => reach > upTo + 20 ||',
  },
  {
    bug: 'a segment that was only begun outlives the term and vote before it',
    file: `${STORE}/log/log-segments.ts`,
    find: '      if (isLast && segments.length > 0) {\n        begun = name\n        return\n      }\n      if (segment.header.sequence > 1) throw',
    replace: '      if (segment.header.sequence < 1) throw',
  },
  {
    bug: 'segments are removed together, and some of them come back',
    file: `${STORE}/log/old-files.ts`,
    find: '        return disk.syncNames()\n',
    replace: '        return\n',
  },
  {
    bug: 'a snapshot counts before it is on the disk',
    file: `${STORE}/journal/snapshot-files.ts`,
    find: '    await file.sync()\n  } catch (error) {',
    replace: '  } catch (error) {',
  },
  {
    bug: 'a write that found no room counts as done',
    file: `${DRIVER}/group/raft-driver.ts`,
    find: "error.details.reason !== 'disk-full') throw error\n",
    replace: "error.details.reason !== 'disk-full') throw error\n        return true\n",
  },
  {
    bug: 'term and vote are not kept by the driver',
    file: `${DRIVER}/group/raft-driver.ts`,
    find: 'persist({ hardState, base, entries })',
    replace: 'persist({ base, entries })',
  },
  {
    bug: 'entries are applied before they are committed',
    file: `${DRIVER}/group/raft-driver.ts`,
    find: 'applyEntries(this.#deps, committed,',
    replace: 'applyEntries(this.#deps, entries,',
  },
  {
    bug: 'what another leader decided at its place is told to who proposed it',
    file: `${DRIVER}/group/pending-proposals.ts`,
    find: 'if (proposal.term === term) proposal.resolve(value)',
    replace: 'if (proposal.term <= term) proposal.resolve(value)',
  },
  {
    bug: 'a read does not wait until what it may see is applied',
    file: `${DRIVER}/group/pending-proposals.ts`,
    find: 'if (read.index === undefined || read.index > index) continue',
    replace: 'if (read.index === undefined) continue',
  },
  {
    bug: 'a leader that was replaced answers reads',
    file: `${DRIVER}/raft/replication.ts`,
    find: 's.reads.push({ id, from, index: s.commit, round: s.round + 1 })',
    replace: 'answerRead(s, from, id, s.commit)',
  },
  {
    bug: "a leader's snapshot does not reach the state machine",
    file: `${DRIVER}/group/raft-driver.ts`,
    find: '    await machine.restore(await storage.readSnapshot(meta))\n',
    replace: '',
  },
  {
    bug: 'the sessions are left out of the snapshots of a node',
    file: `${SIM}/machine.ts`,
    find: 'sessions: [...sessions] }',
    replace: 'sessions: [] }',
  },
  {
    bug: 'a snapshot holds what was applied while it was written',
    file: `${SIM}/machine.ts`,
    find: 'changes: () => changesOfOneRow(written()),',
    replace: "changes: () => ({ rows: (function* () { yield { key: 'all', value: written() } })(), settle() {} }),",
  },
  {
    bug: 'a node that lost its disk comes back as who it was',
    file: `${SIM}/node.ts`,
    find: "=> String(lost).padStart(2, '0')",
    replace: "=> (lost < 0 ? '' : '00')",
  },
]

export const DRIVER_MUTANTS: readonly Mutant[] = FOUND_BY_PORTS.map((mutant) => ({ ...mutant, scenario: 'driver' }))
