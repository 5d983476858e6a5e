/** A port on which nobody listens now, for what is told where another one listens. */
export declare function freePort(): Promise<number>
