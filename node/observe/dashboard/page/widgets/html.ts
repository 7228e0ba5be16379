/** Markup without a compiler: htm over Preact. */
import htm from 'htm'
import { type ComponentChildren, h, type VNode } from 'preact'

export type Markup = VNode | VNode[]
export type Children = ComponentChildren

export const html = htm.bind(h)
