/* The real-mode kernel header (Documentation/arch/x86/boot.rst), under its names there. Only a
 * 64-bit boot loader can enter this image; to any other it is a boot sector of zeroes. Zeroes
 * from type_of_loader on are the boot loader's to fill in, unless a remark says otherwise.
 */
    .macro setup_header
    .byte   {SETUP_SECTS}
    .word   0                           /* root_flags */
    .long   payload_paragraphs          /* syssize: payload.ld */
    .word   0                           /* ram_size */
    .word   0                           /* vid_mode */
    .word   0                           /* root_dev */
    .word   0xaa55                      /* boot_flag */
    .byte   0xeb, {HEADER_LENGTH}       /* jump */
    .ascii  "HdrS"                      /* header */
    .word   {VERSION}
    .long   0                           /* realmode_swtch */
    .word   0                           /* start_sys_seg */
    .word   0                           /* kernel_version */
    .byte   0                           /* type_of_loader */
    .byte   {LOADFLAGS}
    .word   0                           /* setup_move_size */
    .long   0x100000                    /* code32_start: the default */
    .long   0                           /* ramdisk_image */
    .long   0                           /* ramdisk_size */
    .long   0                           /* bootsect_kludge */
    .word   0                           /* heap_end_ptr */
    .byte   0                           /* ext_loader_ver */
    .byte   0                           /* ext_loader_type */
    .long   0                           /* cmd_line_ptr */
    .long   {INITRD_ADDR_MAX}
    .long   {KERNEL_ALIGNMENT}
    .byte   1                           /* relocatable_kernel */
    .byte   {MIN_ALIGNMENT}
    .word   {XLOADFLAGS}
    .long   {CMDLINE_SIZE}
    .long   0                           /* hardware_subarch */
    .quad   0                           /* hardware_subarch_data */
    .long   0                           /* payload_offset: nothing is compressed */
    .long   0                           /* payload_length */
    .quad   0                           /* setup_data */
    .quad   {PREF_ADDRESS}
    .long   payload_init_size           /* init_size: payload.ld */
    .long   0                           /* handover_offset */
    .long   0                           /* kernel_info_offset */
    .endm

    .section .setup.header, "a", @progbits
    setup_header

    .section .rodata.setup_header_copy, "a", @progbits
    .global setup_header_copy
    .hidden setup_header_copy
setup_header_copy:
    setup_header
    .if . - setup_header_copy - {LENGTH}
    .error "the setup header has not the length that it says"
    .endif
    .text
