/**
 * A note beside rows in which damage was found while they were read: opening looks at the index of each table only, so that
 * without it a node would start again on what it cannot read. Repairing removes it.
 */
import { join } from 'node:path'
import type { Port } from '../../../protocols/port.ts'
import { readPrivateFile, writePrivateFile } from '../../platform/private-file.ts'
import { storeError } from '../log/log-segments.ts'

export const DAMAGE_NOTE = 'damage.txt'
const MAX_BYTES = 4_096

/** A disk that does not take it says so when it is read again. */
export const noteDamage = async (
  folder: string,
  damage: string,
  { what }: { readonly what: string },
  log: Pick<Port['log'], 'warn'>,
): Promise<void> => {
  try {
    await writePrivateFile(join(folder, DAMAGE_NOTE), damage.slice(0, MAX_BYTES / 4))
  } catch (error) {
    log.warn(`that the stored ${what} are damaged could not be noted`, { error })
  }
}

export const readDamageNote = async (folder: string): Promise<string | undefined> => {
  const found = await readPrivateFile(join(folder, DAMAGE_NOTE), MAX_BYTES)
  return found && new TextDecoder().decode(found)
}

/** @throws STA003 `damaged` */
export const refuseNotedDamage = async (folder: string): Promise<void> => {
  const what = await readDamageNote(folder)
  if (what === undefined) return
  throw storeError('damaged', what, 'parley store verify shows what is left, parley store repair keeps it')
}
