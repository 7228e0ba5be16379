/** Modules that `parley up` is given as parts: loaded, and what they export is checked before the node starts. */
import { pathToFileURL } from 'node:url'
import { checkVendor } from '../../../protocols/define-part.ts'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { AnyPart } from '../../../protocols/part.ts'
import { whyNotLoaded } from '../../agent/worker-side/load-agent.ts'
import { isPart } from '../../options/schema.ts'

const SHAPE = 'export default definePart({ name, description, load, ... }); docs/parts.md shows a whole one'

const importOf = async (file: string): Promise<Readonly<Record<string, unknown>>> => {
  try {
    return await import(pathToFileURL(file).href)
  } catch (cause) {
    const hint = isParleyError(cause) ? cause.hint : undefined
    throw new ParleyError('MSG001', `the part module ${file} cannot be loaded: ${await whyNotLoaded(file, cause)}`, {
      hint: hint ?? 'mend the module, or leave it out',
      cause,
    })
  }
}

const loadPart = async (file: string): Promise<AnyPart> => {
  const loaded = await importOf(file)
  const part = loaded.default
  if (!isPart(part))
    throw new ParleyError(
      'MSG001',
      'default' in loaded
        ? `the default export of the part module ${file} is not a part`
        : `the part module ${file} has no default export`,
      { hint: SHAPE },
    )
  checkVendor(part)
  return part
}

/**
 * In the order in which they are named.
 * @throws MSG001 for a module that cannot be loaded, or whose default export is not a part with a vendor
 */
export const loadParts = async (files: readonly string[]): Promise<AnyPart[]> => {
  const parts: AnyPart[] = []
  for (const file of files) parts.push(await loadPart(file))
  return parts
}
