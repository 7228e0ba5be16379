/**
 * `parley store force-recover`: makes a node the only voter of a new mesh, where most voters are lost for good.
 * `parley store adopt`: makes a node a new member of another mesh.
 */

import { escapeText } from '../../../observe/log/log-fields.ts'
import {
  adoptMesh,
  checkRecoverable,
  type JournalRecovered,
  meshIdOfJournal,
  recoverJournal,
} from '../../../store/journal/journal-recovery.ts'
import { type JournalSurvey, surveyJournal } from '../../../store/journal/journal-survey.ts'
import { processTerminalPrompt, type TerminalPrompt } from '../../input/terminal-prompt.ts'
import { usageError } from '../../output/exit-codes.ts'
import { remark } from '../../output/print.ts'
import { ownerPeer, withStoppedJournal } from './stopped-node.ts'
import {
  type ConfirmedCommandOptions,
  confirm,
  keepMembership,
  meshIdOf,
  printResult,
  random,
  recordNewMember,
} from './store-change.ts'
import { conditionOf } from './store-condition.ts'
import { block, count, factsOf, logLine, memberOf, type StoreOwner, voteText } from './store-facts.ts'

export interface RecoverCommandOptions extends ConfirmedCommandOptions {
  meshId?: string
}

/** What is to be typed, so that nobody recovers another store than the one that was meant. */
const confirmationOf = (found: JournalSurvey): string => meshIdOfJournal(found) ?? 'unknown'

const recoveryPlanText = (found: JournalSurvey, owner: StoreOwner): string => {
  const now = factsOf(found, owner)
  const abandoned = now.voters.filter((member) => member !== now.member)
  return `This makes the node in ${escapeText(owner.dataDir)} the only voter of a new mesh that begins with what it has. It is meant for a
mesh that lost the majority of its voters for good.
${block([
  ['mesh id', confirmationOf(found)],
  ['has', `${logLine(now)}, term ${now.term}`],
  ...abandoned.map((member, i): [string, string] => [i === 0 ? 'abandoned' : '', member]),
])}
What may be lost: all that was decided after entry ${now.lastIndex}. Others may have answered it as done, and nothing here knows of it.
What may be new: entries after ${now.commit} may never have been decided; from now on they are.
The abandoned voters must never be started again with the disks that they have now. As a majority they would go on as the
old mesh beside the new one; nodes of the two refuse each other. If one of them has more than this node, recover that one.
`
}

const adoptedFacts = (done: JournalRecovered, owner: StoreOwner) => ({
  meshId: done.meshId,
  before: meshIdOfJournal(done.before),
  member: done.member,
  putAside: done.aside,
  store: factsOf(done.after, owner),
})

const recoveredFacts = (done: JournalRecovered, owner: StoreOwner) => ({
  ...adoptedFacts(done, owner),
  abandoned: done.before.configuration.voters.filter((member) => member !== memberOf(owner, done.before)),
})

const recoveredText = (done: JournalRecovered, owner: StoreOwner): string => {
  const { voters } = done.before.configuration
  const others = voters.length > 1 || done.before.configuration.learners.length > 0
  return `recovered the store in ${escapeText(owner.dataDir)}
${block([
  ['mesh id', `${done.meshId}, a new one`],
  ['member', `${done.member}, the only voter`],
  ['log', `${logLine(factsOf(done.after, owner))}, all of it decided`],
  ['put aside', `${count(done.aside.length, 'file')} *.abandoned`],
])}
Start it: it decides alone at once. ${
    others
      ? `Then bring the other nodes over:
  - Start those without a data directory again.
  - On each one that has a data directory, the abandoned voters too:
      parley store adopt --mesh-id ${done.meshId} --data-dir ITS_DIRECTORY
    and start it so that it joins this node. It learns, and votes once it kept up.`
      : 'Other nodes join it as ever.'
  }`
}

const adoptPlanText = (found: JournalSurvey, owner: StoreOwner, meshId: string): string => {
  const now = factsOf(found, owner)
  return `This puts aside all that the node in ${escapeText(owner.dataDir)} has of the journal, and makes it a new member of the mesh
${meshId}.
${block([
  ['of the mesh', confirmationOf(found)],
  ['has', `${logLine(now)}, term ${now.term}`],
])}
${voteText(now.member, found)}
`
}

const adoptedText = (done: JournalRecovered, owner: StoreOwner): string =>
  `the node in ${escapeText(owner.dataDir)} is a new member of the mesh ${done.meshId}
${block([
  ['member', done.member],
  ['put aside', `${count(done.aside.length, 'file')} *.abandoned`],
])}
Start it so that it joins a node of that mesh: it learns from it, and votes once it kept up.`

export const forceRecover = (
  options: RecoverCommandOptions,
  terminal: TerminalPrompt = processTerminalPrompt(),
): Promise<void> =>
  withStoppedJournal(options, async (disk, owner) => {
    const peer = ownerPeer(owner)
    const { alone } = await conditionOf({ owner, disk })
    if (alone !== undefined) throw alone
    const found = await surveyJournal(disk)
    checkRecoverable(found, peer)
    const expected = confirmationOf(found)
    const { meshId, yes } = options
    remark(recoveryPlanText(found, owner))
    if (yes === true && meshId === undefined)
      throw usageError('--yes needs the mesh id', 'give it with --mesh-id, as `parley store verify` shows it')
    if (meshId !== undefined && meshId !== expected)
      throw usageError(
        `this store is of the mesh ${expected}, not ${meshId}`,
        'see whether it is the store that you mean',
      )
    const question = `Type the mesh id (${expected}) to go on: `
    await confirm(question, expected, yes, `--yes --mesh-id ${expected}`, terminal)
    const done = await recoverJournal(disk, random, peer)
    await recordNewMember(owner, done)
    await keepMembership(disk)
    printResult(options, recoveredFacts(done, owner), recoveredText(done, owner))
  })

export const adopt = (
  options: RecoverCommandOptions & { meshId: string },
  terminal: TerminalPrompt = processTerminalPrompt(),
): Promise<void> =>
  withStoppedJournal(options, async (disk, owner) => {
    const meshId = meshIdOf(options.meshId)
    const peer = ownerPeer(owner)
    remark(adoptPlanText(await surveyJournal(disk), owner, meshId))
    await confirm('Type adopt to go on: ', 'adopt', options.yes, '--yes', terminal)
    const done = await adoptMesh(disk, random, peer, meshId)
    await recordNewMember(owner, done)
    await keepMembership(disk)
    printResult(options, adoptedFacts(done, owner), adoptedText(done, owner))
  })
