//! What a store on disk has to keep.
