/**
 * A node's log is damaged while it is down: bytes flipped in the middle, and flipped, zeroed or cut off within its last 4 KiB.
 * One of several voters comes back as a new member, says so, learns, and votes again; the others decide on meanwhile. A node
 * that votes alone does not start, and says what to do; with its log as it was it goes on. Nothing that was answered is lost.
 */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { JOURNAL_FOLDER } from '../../../node/store/known-stores.ts'
import type { Random } from '../../soak/random.ts'
import { until } from '../../support/until.ts'
import { type CrashNode, refusalOf } from '../nodes.ts'
import type { Findings } from '../play.ts'
import type { Stage } from '../stage.ts'

const TAIL_BYTES = 4_096
const FLIPPED = 3
const HEADER_BYTES = 64
const BACK_MS = 30_000
/** Each of them once for one of several, twice for the only one. */
const KINDS = ['middle', 'flip', 'zero', 'cut', 'gone'] as const
type Kind = (typeof KINDS)[number]

interface Damage {
  readonly what: string
  /** As if nothing had happened. */
  undo(): Promise<void>
}

/** @returns undefined: the file is to be removed */
const damagedBytes = (bytes: Buffer, kind: Kind, at: number): Buffer | undefined => {
  if (kind === 'gone') return undefined
  if (kind === 'cut') return bytes.subarray(0, at)
  const changed = Buffer.from(bytes)
  if (kind === 'zero') return changed.fill(0, at)
  for (let i = at; i < Math.min(at + FLIPPED, bytes.length); i += 1) changed[i] = (changed[i] ?? 0) ^ 0xff
  return changed
}

const damage = async (dataDir: string, kind: Kind, random: Random): Promise<Damage> => {
  const folder = join(dataDir, JOURNAL_FOLDER)
  const name =
    (await readdir(folder))
      .filter((one) => /^\d+\.log$/.test(one))
      .sort()
      .at(-1) ?? ''
  const file = join(folder, name)
  const bytes = await readFile(file)
  // Behind what is written there is room, which means nothing.
  const written = 1 + bytes.findLastIndex((byte) => byte !== 0)
  const from = Math.max(HEADER_BYTES, written - TAIL_BYTES)
  const at = kind === 'middle' ? Math.floor(written / 2) : from + random.below(written - from)
  const changed = damagedBytes(bytes, kind, at)
  if (changed === undefined) await rm(file)
  else await writeFile(file, changed)
  const what = kind === 'gone' ? `${name}, which is gone,` : `${name}, ${kind} at ${at} of ${bytes.length},`
  return { what, undo: () => writeFile(file, bytes) }
}

/** Who it votes as; two while the one that it was is not given up yet. */
const membersOf = (node: CrashNode, { voters }: { readonly voters: readonly string[] }): string[] =>
  voters.filter((member) => member.startsWith(`${node.id}.`))

export const damaged = async (stage: Stage): Promise<Findings> => {
  const { nodes, load, random } = stage
  const violations: string[] = []
  let renewed = 0
  let longestMs = 0
  let decidedMs = 0
  const before = await stage.term()
  for (const kind of KINDS) {
    const leader = await stage.coordinator()
    const node = random.pick(nodes.filter((one) => one !== leader)) ?? leader
    const was = membersOf(node, await node.ask('status')).join()
    await node.kill()
    const { what } = await damage(node.dataDir, kind, random)
    const at = performance.now()
    const refusal = await refusalOf(node)
    if (refusal !== undefined) {
      violations.push(`${node.name} did not start with ${what}: ${refusal.code} ${refusal.message}`)
      break
    }
    decidedMs = Math.max(decidedMs, await load.probe())
    await until(
      `${node.name} votes, and has what was decided`,
      async () => {
        const status = await node.ask('status')
        return status.role === 'voter' && membersOf(node, status).length === 1 && status.version >= load.version()
      },
      BACK_MS,
    )
    longestMs = Math.max(longestMs, performance.now() - at)
    if (membersOf(node, await node.ask('status')).join() !== was) renewed += 1
    // A few bytes at the very end may be those of an empty frame, or of one that nobody was told of.
    else if (kind !== 'flip' && kind !== 'zero' && kind !== 'cut')
      violations.push(`${node.name} goes on as who it was, although ${what} is damaged`)
  }
  const terms = (await stage.term()) - before
  if (terms > 0) violations.push(`${terms} terms ended among the others`)
  return {
    figures: { 'came back as new members': renewed, 'others decide, ms': decidedMs, 'voting again, ms': longestMs },
    violations,
  }
}

/** The same with one voter: nobody else has what is gone. */
export const damagedAlone = async (stage: Stage): Promise<Findings> => {
  const { nodes, load, random } = stage
  const [node] = nodes
  if (node === undefined) throw new Error('there is a node')
  const violations: string[] = []
  let refused = 0
  for (const kind of [...KINDS, ...KINDS]) {
    await load.probe()
    await node.kill()
    const { what, undo } = await damage(node.dataDir, kind, random)
    const refusal = await refusalOf(node)
    if (refusal === undefined) {
      // Harmless, or lost: what was answered is looked at in the end.
      if (kind === 'middle' || kind === 'gone') violations.push(`it started, although ${what} is damaged`)
      continue
    }
    refused += 1
    const { code, reason, hint } = refusal
    if (code !== 'STA003' || reason !== 'damaged' || !hint.includes('parley store'))
      violations.push(`it was refused with ${code} ${reason}: ${hint}`)
    await undo()
    await node.start()
  }
  await stage.caughtUp(node)
  return { figures: { 'starts refused': refused }, violations }
}
