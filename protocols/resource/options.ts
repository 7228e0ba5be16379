/** Options of resources. */
import * as z from 'zod'
import { UnitsSchema } from './units.ts'

export const ResourceOptions = z.strictObject({
  capacity: UnitsSchema.default({}).describe(
    'What this node has to give, in whole units by name: cpu in thousandths of a core, memory and storage in bytes, gpu in devices, or others. A program may say it otherwise later.',
  ),
})
