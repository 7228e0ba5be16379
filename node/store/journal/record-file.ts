/**
 * One record in a small file of JSON, with the number of its format and a checksum, replaced as a whole.
 *
 * It is written under another name, synced and renamed, and then the folder is synced, so that a power cut leaves what
 * was there before or what was written. What was changed since is damaged, and refused.
 */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import { type Disk, replaceFile } from '../files/disk.ts'
import { storeError } from '../log/log-segments.ts'

export interface RecordForm<R> {
  /** Of the file. */
  readonly name: string
  readonly format: number
  readonly schema: z.ZodType<R>
  /** What to do about a file that is damaged, and about one of a newer format. */
  readonly hints: { readonly damaged: string; readonly newer: string }
}

const FormatSchema = z.object({ format: z.int().positive() })
const FileSchema = z.object({ sha256: z.string(), record: z.unknown() })

/** Of the record as it is written. */
const checksumOf = (format: number, record: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify([format, record]) ?? '')
    .digest('hex')

/** @throws STA003 with `details.reason` `damaged` or `newer` */
const decode = <R>({ name, format, schema, hints }: RecordForm<R>, bytes: Uint8Array): R => {
  const damaged = (what: string, cause?: unknown) =>
    storeError('damaged', `${name} is damaged: ${what}`, hints.damaged, cause)
  let found: unknown
  try {
    found = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw damaged('it is no JSON', error)
  }
  const written = FormatSchema.safeParse(found)
  if (written.success && written.data.format > format) {
    const has = `has the format ${written.data.format}, and this version knows ${format}`
    throw storeError('newer', `${name} ${has}`, hints.newer)
  }
  const file = FileSchema.safeParse(found)
  if (!file.success || written.data?.format !== format)
    throw damaged('it is not in the form that this node writes', file.error ?? written.error)
  // JSON keeps the order of names, so that the same bytes are checked.
  if (checksumOf(format, file.data.record) !== file.data.sha256) throw damaged('its checksum does not match')
  const record = schema.safeParse(file.data.record)
  if (!record.success) throw damaged('what it says cannot be', record.error)
  return record.data
}

/** @throws as `decode`, and what the disk says */
export const readRecord = async <R>(disk: Pick<Disk, 'read'>, form: RecordForm<R>): Promise<R> =>
  decode(form, await disk.read(form.name))

/** @throws what the disk says */
export const writeRecord = async <R>(disk: Disk, { name, format }: RecordForm<R>, record: R): Promise<void> => {
  const text = JSON.stringify({ format, sha256: checksumOf(format, record), record })
  await replaceFile(disk, name, `${text}\n`)
}
