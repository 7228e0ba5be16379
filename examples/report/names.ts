/**
 * File names as bytes. A name on Linux is any bytes but NUL and '/', so a name that is not valid UTF-8 must survive.
 *
 * Inside the walk a name is a "byte string": one character per byte (latin1), compact, and compared in byte order by
 * the ordinary `<`. `readableName` makes it fit for people and JSON, and different names never look the same.
 */
import { isUtf8 } from 'node:buffer'

export const bytesOf = (byteString: string): Buffer => Buffer.from(byteString, 'latin1')
export const byteString = (bytes: Buffer): string => bytes.toString('latin1')

const withSlash = (root: string): string => {
  const folder = byteString(Buffer.from(root))
  return folder.endsWith('/') ? folder : `${folder}/`
}
/** Absolute path of a file, by its name below the folder, and the other way round. */
export const fileIn = (root: string, name: string): Buffer => bytesOf(withSlash(root) + name)
export const nameIn = (root: string, file: Buffer): string => byteString(file).slice(withSlash(root).length)

const escapeByte = (byte: number): string => `\\x${byte.toString(16).toUpperCase().padStart(2, '0')}`

/** A literal `\x41` in a name would look like an escaped byte: its backslash is written as `\x5C`. */
const escapeLookalikes = (name: string): string => name.replace(/\\(?=x[0-9A-F]{2})/g, '\\x5C')

/** Length of the UTF-8 sequence that starts at `at`, 0 where there is none. */
const sequenceAt = (bytes: Buffer, at: number): number => {
  for (const length of [1, 2, 3, 4]) {
    if (at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length))) return length
  }
  return 0
}

/** The name as valid text: bytes that are not UTF-8 are shown as `\xNN`. Injective: two names never become one. */
export const readableName = (bytes: Buffer): string => {
  if (isUtf8(bytes)) return escapeLookalikes(bytes.toString('utf8'))
  let readable = ''
  let valid = 0
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceAt(bytes, at)
    if (length > 0) {
      at += length
      continue
    }
    readable += escapeLookalikes(bytes.toString('utf8', valid, at)) + escapeByte(bytes[at] ?? 0)
    at += 1
    valid = at
  }
  return readable + escapeLookalikes(bytes.toString('utf8', valid))
}

/** False where the readable name is not the name on disk, so that nothing can link to it. */
export const isExactName = (readable: string): boolean => !/\\x[0-9A-F]{2}/.test(readable)
