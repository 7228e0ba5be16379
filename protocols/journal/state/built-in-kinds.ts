/** The commands that every journal knows: records of programs, who coordinated when, and the feature level. Pure. */
import * as z from 'zod'
import { ParleyError } from '../../errors.ts'
import { type AnyCommandKind, defineJournalCommand, type JournalTx, type Json } from './command-kind.ts'
import { isJson, MAX_JSON_DEPTH } from './json-value.ts'
import { MAX_KEY, MESH_PREFIX } from './record-transaction.ts'

export const EPOCHS_PREFIX = `${MESH_PREFIX}epochs/`
const FEATURE_LEVEL_KEY = `${MESH_PREFIX}level`
/** So that keys sort as their terms do. */
const TERM_DIGITS = 12
export const epochKey = (term: number): string => `${EPOCHS_PREFIX}${String(term).padStart(TERM_DIGITS, '0')}`
/** Epochs that are kept. */
const MAX_EPOCHS = 256

const Key = z.string().min(1).max(MAX_KEY)
const Version = z.int().nonnegative()

export const JsonSchema = z
  .custom<Json>((value) => isJson(value), `use a value that JSON can hold, at most ${MAX_JSON_DEPTH} levels deep`)
  .meta({ 'x-max-depth': MAX_JSON_DEPTH })

const ofPrograms = (key: string): void => {
  if (!key.startsWith(MESH_PREFIX)) return
  throw new ParleyError('SEC002', `the key ${key} belongs to the mesh`, {
    hint: `use a key that does not begin with ${MESH_PREFIX}`,
  })
}

const asWanted = (tx: JournalTx, key: string, ifVersion: number | undefined): void => {
  const version = tx.version(key)
  if (ifVersion === undefined || ifVersion === version) return
  throw new ParleyError('STA003', `${key} is at version ${version}, not ${ifVersion}`, {
    hint: version === 0 ? 'there is no such record: use ifVersion 0 to make one' : 'read it again, then decide again',
    details: { reason: 'version', key, version },
  })
}

/** `ifVersion`: only where this is its version; 0: only where there is none. */
export const putRecord = defineJournalCommand({
  name: 'record.put',
  level: 1,
  input: z.object({ key: Key, value: JsonSchema, ifVersion: Version.optional() }),
  output: z.null(),
  apply(tx, { key, value, ifVersion }) {
    ofPrograms(key)
    asWanted(tx, key, ifVersion)
    tx.put(key, value)
    return null
  },
})

export const deleteRecord = defineJournalCommand({
  name: 'record.delete',
  level: 1,
  input: z.object({ key: Key, ifVersion: Version.optional() }),
  output: z.object({ existed: z.boolean() }),
  apply(tx, { key, ifVersion }) {
    ofPrograms(key)
    asWanted(tx, key, ifVersion)
    const existed = tx.version(key) > 0
    tx.delete(key)
    return { existed }
  },
})

export const EpochSchema = z.object({
  epoch: z.int().nonnegative(),
  /** Peer id. */
  leader: z.string(),
  name: z.string(),
  /** Milliseconds since 1970, by the leader's clock. */
  at: z.number(),
})
export type Epoch = z.output<typeof EpochSchema>

/** A leader says that it acts: the first thing that it decides in its term. */
export const beginEpoch = defineJournalCommand({
  name: 'coordinator.begin',
  level: 1,
  input: z.object({ leader: z.string().max(128), name: z.string().max(64) }),
  output: z.null(),
  apply(tx, { leader, name }, { fence: { term }, at }) {
    tx.put(epochKey(term), { epoch: term, leader, name, at })
    const old = tx.keys(EPOCHS_PREFIX)
    for (const key of old.slice(0, Math.max(0, old.length - MAX_EPOCHS))) tx.delete(key)
    return null
  },
})

/** What every voter can do by now; it only rises. */
export const raiseLevel = defineJournalCommand({
  name: 'journal.level',
  level: 1,
  input: z.object({ level: z.int().positive() }),
  output: z.object({ level: z.int() }),
  apply(tx, { level }) {
    const now = featureLevelOf(tx.get(FEATURE_LEVEL_KEY))
    if (level > now) tx.put(FEATURE_LEVEL_KEY, level)
    return { level: Math.max(level, now) }
  },
})

/** Of what stands under the level's key. */
export const featureLevelOf = (value: Json | undefined): number => (typeof value === 'number' ? value : 1)
export { FEATURE_LEVEL_KEY }

export const BUILT_IN_KINDS: readonly AnyCommandKind[] = [putRecord, deleteRecord, beginEpoch, raiseLevel]
